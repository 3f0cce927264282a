"""All that knows Ultralytics' model format: bases, sites, insertion, weights."""

from harness.detectors.cloformer import load_official_backbone
from harness.detectors.families import Base, build, read_checkpoint, read_yaml, resolve_base
from harness.detectors.growth import transfer_widened
from harness.detectors.insert import index_map, insert, to_yaml
from harness.detectors.named import Detector, find_detector, load_model, read_architecture
from harness.detectors.parser import import_block_files
from harness.detectors.recognise import recognised
from harness.detectors.sites import Site, find_sites, map_sizes, mode_channels
from harness.detectors.weights import Transfer, transfer
from harness.detectors.widen import Widening, widened

__all__ = [
    "Base",
    "Detector",
    "Site",
    "Transfer",
    "Widening",
    "build",
    "find_detector",
    "find_sites",
    "import_block_files",
    "index_map",
    "insert",
    "load_model",
    "load_official_backbone",
    "map_sizes",
    "mode_channels",
    "read_architecture",
    "read_checkpoint",
    "read_yaml",
    "recognised",
    "resolve_base",
    "to_yaml",
    "transfer",
    "transfer_widened",
    "widened",
]
