"""The `vaecodec help` command: short texts on topics, files in the folder topics/."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from vaecodec.errors import UsageError

FOLDER = Path(__file__).parent / "topics"


def topics() -> dict[str, str]:
    """The title of every topic by its name."""
    return {
        path.stem: path.read_text(encoding="utf-8").partition("\n")[0]
        for path in sorted(FOLDER.glob("*.txt"))
    }


def _complete(context: click.Context, _: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(n, help=t) for n, t in topics().items() if n.startswith(start)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def help_command(context: click.Context, topic: str | None) -> None:
    """Explain a topic or a command, or list the topics."""
    assert context.parent is not None  # the group, whose commands can be named, too
    known, group = topics(), context.parent.command
    if topic is None:
        click.echo("Topics, for vaecodec help TOPIC:\n")
        for name, title in known.items():
            click.echo(f"  {name:<12}  {title}")
    elif topic in known:
        click.echo((FOLDER / f"{topic}.txt").read_text(encoding="utf-8"), nl=False)
    elif isinstance(group, click.Group) and (command := group.get_command(context, topic)):
        with click.Context(command, info_name=topic, parent=context.parent) as inner:
            click.echo(command.get_help(inner))
    else:
        raise UsageError(f"no help on {topic!r}; use one of {', '.join(known)}, or a command")
