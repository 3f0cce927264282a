"""Options that are fields of a settings model: name, type and help are declared there, once.

pydantic-settings and tyro read a command line into a model, too, each with a program of its own; this keeps typer's
help, groups and errors for all commands, and is the one function that they have in common.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.record.run_settings import RunSettings, StoredSettings, option_of

Command = Callable[..., None]


# Panel of the help for what commands that train have in common.
_WHERE = "Where it runs"


def options_of(
    *models: type[BaseModel],
    only: Collection[str] = (),
    said: Mapping[str, str] | None = None,
    texts: Collection[str] = (),
) -> Callable[[Command], Command]:
    """Give a command the fields of models, those of models in them too, as options.

    Args:
        models: The settings. A field without a description is no option; one that two models have is the first's.
        only: Fields that are options of this command; none is all.
        said: Field to another help than its description.
        texts: Fields that are typed as a text, such as 25m of a number of seconds.

    Returns:
        A decorator. The command's first argument is a mapping of the fields to what was typed; None was left out.

    Raises:
        ValueError: The model has no such field with a description.
    """

    def decorate(command: Command) -> Command:
        own = [*inspect.signature(command, eval_str=True).parameters.values()][1:]
        known = {name: field for model in reversed(models) for name, field in _fields(model)}
        if unknown := {*only, *(said or {}), *texts} - known.keys():
            either = " or ".join(model.__name__ for model in models)
            raise ValueError(f"{either} has no such option: {', '.join(sorted(unknown))}")
        where = {name for model in (RunSettings, StoredSettings) for name, _ in _fields(model)}
        names = sorted((name for name in known if not only or name in only), key=where.__contains__)
        options = [
            _parameter(
                name,
                known[name],
                (said or {}).get(name),
                kind=str if name in texts else None,
                panel=_WHERE if name in where else None,
            )
            for name in names
        ]
        parameters = [*options, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own)]

        def called(**typed: Any) -> None:
            given = {name: typed.pop(name) for name in names}
            command({name: None if value is False or value == [] else value for name, value in given.items()}, **typed)

        called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return called

    return decorate


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation)
        elif field.description:
            yield name, field


def _parameter(name: str, field: FieldInfo, said: str | None, *, kind: Any, panel: str | None) -> inspect.Parameter:
    """Make the option of a field: a flag, a number, a list or a text; None, or not set, where it is left out."""
    if kind is None:
        [kind, *_] = [each for each in get_args(field.annotation) or [field.annotation] if each is not type(None)]
        if get_origin(field.annotation) in {tuple, dict}:
            kind = list[str]
        elif kind not in {bool, int, float, Path}:
            kind = str
    text = (said or field.description or "").replace("[", "\\[")  # else Rich takes it for markup
    option = typer.Option(option_of(name), help=text, rich_help_panel=panel)
    is_flag = kind is bool
    annotation: Any = Annotated[kind if is_flag else kind | None, option]
    default = False if is_flag else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
