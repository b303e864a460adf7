"""Which Parquet files on the Hub hold a split of a data set, at which commit, and where they lie on this machine."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from parler_assets.hub.blobs import whole
from parler_assets.hub.errors import SourceError
from parler_assets.hub.revisions import settled_commit, snapshot_here
from parler_assets.intake import Refusal
from parler_assets.intake.cards import front_matter
from parler_assets.intake.files import read_bytes
from parler_assets.storage import DiskError

CONVERTED = "refs/convert/parquet"  # the branch where the Hub keeps its own Parquet copy of a public data set
PART = 1 << 20  # bytes fetched at once of a file that is read in parts


class RepoFiles:
    """The files of one data set repository at one commit.

    Args:
        notes: where the commits of branches are kept, see `settled_commit`.
    """

    def __init__(self, repo: str, commit: str, notes: Path | None = None) -> None:
        self.repo, self.commit, self.notes = repo, commit, notes
        self._names = _list_files(repo, commit)
        self._card = self._read_card()

    def of_split(self, config: str, split: str) -> tuple[RepoFiles, list[str]]:
        """The Parquet files of a split in order, and the files object that fetches them.

        Raises:
            SourceError: no Parquet files; the message lists the configs that there are.
        """
        found = self._declared(config, split) or self._by_convention(config, split)
        if found:
            return self, found
        converted = self._converted
        found = converted._by_convention(config, split) if converted else []
        if converted and found:
            return converted, found
        raise SourceError(
            f"{self.repo} has no Parquet files of config {config!r}, split {split!r}; it offers {self._offers()}. Set "
            "config and split of the source to what its page shows"
        )

    def fetch(self, name: str) -> Path:
        """The file on this machine, downloaded once.

        Raises:
            SourceError: it cannot be fetched.
        """
        from huggingface_hub import hf_hub_download

        try:
            asked = partial(hf_hub_download, self.repo, name, repo_type="dataset", revision=self.commit)
            return whole(asked)
        except DiskError:
            raise
        except Exception as error:
            raise SourceError(
                f"cannot fetch {name} of {self.repo} at {self.commit}: {type(error).__name__}; check the connection "
                "(HF_TOKEN for a gated set) and materialize again, finished files are kept"
            ) from None

    def rows_of(self, config: str, split: str) -> int | None:
        """How many rows the card says a split has; None where it does not say."""
        for entry in _entries(self._card.get("dataset_info")):
            if entry.get("config_name", "default") == config:
                rows = [item.get("num_examples") for item in _entries(entry.get("splits")) if item.get("name") == split]
                return rows[-1] if rows and isinstance(rows[-1], int) and rows[-1] >= 0 else None
        return None

    @property
    def card(self) -> dict[str, Any]:
        """The front matter of its card; empty where it has none."""
        return self._card

    def splits(self) -> dict[str, list[str]]:
        """Configs and their splits, as the card declares them, or as the names of Parquet files tell."""
        declared: dict[str, list[str]] = {}
        for entry in [*_entries(self._card.get("configs")), *_entries(self._card.get("dataset_info"))]:
            items = [*_entries(entry.get("data_files")), *_entries(entry.get("splits"))]
            found = [str(item.get("split") or item.get("name") or "train") for item in items]
            declared.setdefault(str(entry.get("config_name", "default")), []).extend(found)
        named = [name for name in self._names if name.endswith(".parquet")]
        for name in () if any(declared.values()) else named:
            home, _, file = name.rpartition("/")
            split = file.removesuffix(".parquet").split("-00")[0]
            declared.setdefault(home.split("/")[0] if home and home != "data" else "default", []).append(split)
        return {config: list(dict.fromkeys(splits)) for config, splits in declared.items()}

    def open(self, name: str) -> IO[bytes]:
        """A file to read parts of, which are fetched as they are asked for; the whole one where it is here already.

        Raises:
            SourceError: it cannot be read.
        """
        from huggingface_hub import HfFileSystem, constants, try_to_load_from_cache

        here = try_to_load_from_cache(self.repo, name, repo_type="dataset", revision=self.commit)
        if isinstance(here, str):
            return open(here, "rb")
        try:
            # Asked for its token and address anew: fsspec otherwise gives back the file system of an earlier call.
            files = HfFileSystem(endpoint=constants.ENDPOINT, skip_instance_cache=True)
            return files.open(f"datasets/{self.repo}@{self.commit}/{name}", block_size=PART)
        except Exception as error:
            raise SourceError(
                f"cannot read {name} of {self.repo} at {self.commit}: {type(error).__name__}; check the connection "
                "(HF_TOKEN for a gated set)"
            ) from None

    @cached_property
    def _converted(self) -> RepoFiles | None:
        try:
            return RepoFiles(self.repo, settled_commit(self.repo, CONVERTED, self.notes))
        except SourceError:
            return None

    def _read_card(self) -> dict[str, Any]:
        if "README.md" not in self._names:
            return {}
        path, origin = self.fetch("README.md"), f"README.md of {self.repo}"
        try:
            return front_matter(read_bytes(path).decode("utf-8", "replace"), origin)
        except (OSError, Refusal) as error:
            raise SourceError(f"{error}; choose a revision whose card can be read") from None

    def _declared(self, config: str, split: str) -> list[str]:
        """The files that the card's `configs` section gives a split."""
        for entry in _entries(self._card.get("configs")):
            if entry.get("config_name", "default") != config:
                continue
            base, files = PurePosixPath(str(entry.get("data_dir") or "")), entry.get("data_files")
            for item in _as_list(files):
                spec = item if isinstance(item, dict) else {"split": "train", "path": item}
                if spec.get("split", "train") == split:
                    patterns = [str(base / str(pattern)) for pattern in _as_list(spec.get("path"))]
                    return self._matching(patterns)
        return []

    def _by_convention(self, config: str, split: str) -> list[str]:
        """The places where published sets and the Hub's own conversion keep a split's files."""
        homes = [config] if config != "default" else [config, "data", ""]
        for home in homes:
            prefix = f"{home}/" if home else ""
            found = self._matching(
                [f"{prefix}{split}-*.parquet", f"{prefix}{split}.parquet", f"{prefix}{split}/*.parquet"]
            )
            if found:
                return found
        return []

    def _matching(self, patterns: list[str]) -> list[str]:
        names = [name for name in self._names if name.endswith(".parquet")]
        return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))

    def _offers(self) -> str:
        configs = [str(entry.get("config_name", "default")) for entry in _entries(self._card.get("configs"))]
        return ", ".join(configs) if configs else f"{sum(n.endswith('.parquet') for n in self._names)} Parquet files"


def _list_files(repo: str, commit: str) -> list[str]:
    """Names of a repository's files: as the Hub lists them, or those already on this machine."""
    from huggingface_hub import HfApi

    try:
        return HfApi().list_repo_files(repo, repo_type="dataset", revision=commit)
    except Exception as error:
        folder = snapshot_here(repo, commit)
        if folder is None:
            raise SourceError(
                f"cannot list the files of {repo} at {commit} ({type(error).__name__}), and they were never fetched to "
                "this machine: connect once, or fill HF_HOME"
            ) from None
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _entries(value: Any) -> list[dict[str, Any]]:
    """The mappings in a part of a card that should be a list of them."""
    return [item for item in _as_list(value) if isinstance(item, dict)]
