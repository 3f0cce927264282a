"""Options that are fields of a settings model: name, type and help are declared there, once.

pydantic-settings and tyro read a command line into a model, too, each with a program of its own; this keeps typer's
help, groups and errors for all commands, and is the one function that they have in common.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.record.settings import option_of

Command = Callable[..., None]


def options_of(
    model: type[BaseModel],
    *,
    only: Collection[str] = (),
    said: Mapping[str, str] | None = None,
    texts: Collection[str] = (),
) -> Callable[[Command], Command]:
    """Give a command the fields of a model, those of models in it too, as options.

    Args:
        model: The settings. A field without a description is no option.
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
        known = dict(_fields(model))
        if unknown := {*only, *(said or {}), *texts} - known.keys():
            raise ValueError(f"{model.__name__} has no such option: {', '.join(sorted(unknown))}")
        fields = {name: field for name, field in known.items() if not only or name in only}
        options = [
            _parameter(name, field, (said or {}).get(name), is_text=name in texts) for name, field in fields.items()
        ]
        parameters = [*options, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own)]

        def called(**typed: Any) -> None:
            given = {name: typed.pop(name) for name in fields}
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


def _parameter(name: str, field: FieldInfo, said: str | None, *, is_text: bool) -> inspect.Parameter:
    """Make the option of a field: a flag, a number, a list or a text; None, or not set, where it is left out."""
    [kind, *_] = [each for each in get_args(field.annotation) or [field.annotation] if each is not type(None)]
    if is_text:
        kind = str
    elif get_origin(field.annotation) in {tuple, dict}:
        kind = list[str]
    elif kind not in {bool, int, float}:
        kind = str
    text = (said or field.description or "").replace("[", "\\[")  # else Rich takes it for markup
    option = typer.Option(option_of(name), help=text)
    is_flag = kind is bool
    annotation: Any = Annotated[kind if is_flag else kind | None, option]
    default = False if is_flag else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
