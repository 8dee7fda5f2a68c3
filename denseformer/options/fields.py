"""Options as fields of a frozen dataclass, from which their flags and the keyword arguments of a function follow."""

import argparse
import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar, get_type_hints

from denseformer.suggestions import did_you_mean

Options = TypeVar('Options')
Result = TypeVar('Result')


@dataclass(frozen=True)
class Option:
    """The description of a field.

    help: a sentence, for the command line and for Python alike; parse: the text after a flag to a value; const: the
    value of a flag that stands without one; action: of argparse, for a flag that builds its value from several texts.
    """

    help: str
    parse: Callable[[str], Any] = str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    const: Any = None
    action: type[argparse.Action] | None = None


def option(default: Any, help: str, **more: Any) -> Any:
    """A field of a dataclass of options; `more` are further fields of `Option`."""
    made = {'default_factory': dict} if default == {} else {'default': default}
    return field(**made, metadata={'option': Option(help, **more)})


def default_of(field: Field) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def add_options(parser: Any, cls: type, leave_out: Sequence[str] = ()) -> None:
    """Add the flags of the dataclass `cls` to a parser or a group of its arguments.

    A bool is a flag without a value, a sequence takes one or more, and an option with a `const` at most one.
    """
    for each in fields(cls):
        if each.name in leave_out:
            continue
        about: Option = each.metadata['option']
        default = default_of(each)
        flag = '--' + each.name.replace('_', '-')
        if default is False and about.const is None:
            parser.add_argument(flag, action='store_true', help=about.help)
            continue
        settings = {'default': default, 'help': about.help, 'metavar': about.metavar, 'choices': about.choices}
        if about.action:
            settings |= {'action': about.action, 'nargs': '+'}
        elif isinstance(default, tuple):
            settings |= {'type': about.parse, 'nargs': '+'}
        elif about.const is not None:
            settings |= {'type': about.parse, 'nargs': '?', 'const': about.const}
        else:
            settings |= {'type': about.parse}
        parser.add_argument(flag, **settings)


def options_from(cls: type[Options], namespace: argparse.Namespace) -> Options:
    """The dataclass `cls` of what was parsed; what its command has no flag for stays at its default."""
    given = vars(namespace)
    return cls(**{each.name: given[each.name] for each in fields(cls) if each.name in given})  # type: ignore[arg-type]


def takes_options(cls: type) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Let a function or constructor take the fields of `cls` by name: f(tile=512).

    Its parameter `options` receives an instance of `cls`, made from the fields that the caller names, or the caller's
    own `options` changed by them. The signature lists the fields, the docstring says what each does, and a name that is
    none of them raises TypeError with the nearest one.
    """
    named = {each.name: each for each in fields(cls)}
    hints = get_type_hints(cls)

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        own = inspect.signature(function)
        known = [*named, *(name for name in own.parameters if name != 'self')]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Result:
            given = {name: kwargs.pop(name) for name in named.keys() & kwargs.keys()}
            for name in kwargs.keys() - set(known):
                raise TypeError(f"{function.__qualname__} takes no argument '{name}'.{did_you_mean(name, known, 0.5)}")
            bound = own.bind(*args, **kwargs)
            bound.arguments['options'] = replace(bound.arguments.get('options') or cls(), **given)
            return function(*bound.args, **bound.kwargs)

        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default_of(each), annotation=hints[name])
            for name, each in named.items()
        ]
        call.__signature__ = own.replace(parameters=[*own.parameters.values(), *keywords])  # type: ignore[attr-defined]
        call.__doc__ = f'{inspect.cleandoc(function.__doc__ or "")}\n\n{describe(cls)}'
        return call

    return decorate


def describe(cls: type) -> str:
    """The options of `cls`, one after the other, for a docstring."""
    lines = [f'Options (defaults), each a keyword argument and a field of `{cls.__name__}`:']
    for each in fields(cls):
        text = f'{each.name} ({default_of(each)!r}): {each.metadata["option"].help}.'
        lines.append(textwrap.fill(text, 110, initial_indent='    ', subsequent_indent='        '))
    return '\n'.join(lines)
