"""Which output each input gets, found folder by folder while others are worked on.

No more is held than the names in one folder and the folders still to come, so that the first files
are done while millions are still unread. Which outputs are there already is told from one listing
of their folder.
"""

import glob
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from vaecodec.batch.jobs import FileJob
from vaecodec.errors import FileAccessError, UsageError
from vaecodec.places import Place, RemotePath, children

IsWanted = Callable[[Place], bool]


@dataclass
class _Sources:
    """Files and folders whose outputs share a folder, each once and in order."""

    files: dict[Place, None] = field(default_factory=dict)
    folders: dict[Place, None] = field(default_factory=dict)


@dataclass(frozen=True)
class ManyFiles:
    """Which files to work on, and where the results go.

    `sources`: files, folders and patterns; `output`: folder, None for beside the sources, or where
    the command runs for those in the web; `suffix`: of the results, None where there are none;
    `wanted`: whether a name is that of an input; `recursive`: take folders with all below them;
    `is_looked_up`: tell which outputs are there already; `pass_over`: called with each file of a
    folder that is no input.
    """

    sources: Iterable[Place]
    output: Place | None
    suffix: str | None
    wanted: IsWanted
    recursive: bool = False
    is_looked_up: bool = False
    pass_over: Callable[[Place], object] = lambda path: None

    def jobs(self) -> Iterator[FileJob]:
        """What is to do, in the order of folders and names. A folder's tree is kept.

        Raises UsageError for a pattern that matches nothing and for inputs that would share an
        output, and FileAccessError where the outputs cannot be listed.
        """
        waiting: dict[Place, _Sources] = defaultdict(_Sources)
        for source in self.sources:
            for matched in self._matching(source):
                if self._is_folder(matched):
                    waiting[self.output or matched].folders[matched] = None
                else:
                    waiting[self.output or folder_beside(matched)].files[matched] = None
        order = sorted(waiting, key=str, reverse=True)  # a folder before those below it
        while order:
            target = order.pop()
            files, below, faults = self._read(waiting.pop(target))
            yield from faults
            yield from self._jobs_in(target, files)
            new = []
            for folder in below:
                target_below = target / folder.name
                if target_below not in waiting:
                    new.append(target_below)
                waiting[target_below].folders[folder] = None
            order += sorted(new, key=str, reverse=True)

    def _matching(self, source: Place) -> Iterator[Place]:
        """The source, or what it matches where it is a pattern."""
        is_web = isinstance(source, RemotePath) and source.is_web
        if is_web or not glob.has_magic(str(source)) or source.exists():
            yield source
            return
        matches: list[Place]
        if isinstance(source, RemotePath):
            try:
                matches = [*source.glob()]
            except OSError as error:
                raise FileAccessError(f"{source}: cannot be listed: {error.strerror}") from None
        else:
            matches = [*map(Path, sorted(glob.glob(str(source), recursive=self.recursive)))]
        if not matches:
            raise UsageError(f"{source}: matches no file")
        yield from matches

    def _is_folder(self, source: Place) -> bool:
        """Whether a source is one; elsewhere, what has the suffix of an input is not asked for."""
        return not (isinstance(source, RemotePath) and self.wanted(source)) and source.is_dir()

    def _read(self, sources: _Sources) -> tuple[list[Place], list[Place], list[FileJob]]:
        """Files to work on, folders below, and folders that cannot be read."""
        files, below, faults = dict(sources.files), [], []
        for folder in sources.folders:
            try:
                found = sorted(children(folder), key=lambda child: child[0].name)
            except OSError as error:
                told = f"{folder}: cannot read this folder: {error.strerror}"
                faults.append(FileJob(folder, fault=told))
                continue
            for child, is_folder in found:
                if is_folder:
                    below += [child] * self.recursive
                elif self.wanted(child):
                    files[child] = None
                else:
                    self.pass_over(child)
        return list(files), below, faults

    def _jobs_in(self, folder: Place, sources: list[Place]) -> Iterator[FileJob]:
        """The jobs whose outputs share a folder. Inputs that would share an output (a.png and
        a.jpg) keep their whole names before the suffix."""
        if self.suffix is None:
            yield from map(FileJob, sources)
            return
        there = _names_in(folder) if self.is_looked_up and sources else None
        by_name: dict[str, list[Place]] = defaultdict(list)
        for source in sources:
            by_name[result_name(source, self.suffix, self.wanted)].append(source)
        for name, sharing in by_name.items():
            whole = [name] if len(sharing) == 1 else [f"{s.name}{self.suffix}" for s in sharing]
            if len(set(whole)) < len(whole):
                said = ", ".join(map(str, sharing))
                raise UsageError(
                    f"{said}: would all become {folder / name}; encode their folders one by one"
                )
            for source, own in zip(sharing, whole, strict=True):
                yield FileJob(source, folder / own, None if there is None else own in there)


def result_name(source: Place, suffix: str, known: IsWanted) -> str:
    """The name with `suffix` in place of its own, where that is `known` as one: what follows a dot
    in photo.2021.05 belongs to the name."""
    name = PurePath(source.name)
    return name.with_suffix(suffix).name if known(source) else f"{name}{suffix}"


def is_vae_name(path: Place) -> bool:
    """Whether a file is taken for a .vae file where a folder is named."""
    return path.suffix.lower() == ".vae"


def folder_beside(source: Place) -> Place:
    """Where an output goes that nobody named a place for: beside its source, and here for one of
    the web."""
    return Path() if isinstance(source, RemotePath) and source.is_web else source.parent


def _names_in(folder: Place) -> set[str]:
    try:
        return {child.name for child, _ in children(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise FileAccessError(f"{folder}: cannot be listed: {error.strerror}") from None
