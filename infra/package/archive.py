"""Writes archives whose bytes depend only on their content, and checksums."""

import gzip
import hashlib
import io
import tarfile
import time
import zipfile

PROGRAM_MODE = 0o755
FILE_MODE = 0o644


def zip_program(path, program, timestamp):
    """Writes a zip file for Lambda, which runs the file `bootstrap` in it."""
    entry = zipfile.ZipInfo("bootstrap", time.gmtime(timestamp)[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, so that the mode counts.
    entry.external_attr = (0o100000 | PROGRAM_MODE) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, program.read_bytes(), compresslevel=9)
    return path


def tar(path, folder, timestamp):
    """Writes a tar file with a folder."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = tarfile.TarInfo(str(file.relative_to(folder.parent)))
            entry.size, entry.mtime = file.stat().st_size, timestamp
            entry.mode = PROGRAM_MODE if file.name == "local" else FILE_MODE
            with file.open("rb") as content:
                archive.addfile(entry, content)
    with path.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=timestamp) as packed:
        packed.write(plain.getvalue())
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_sums(folder):
    """Writes SHA256SUMS in the format of sha256sum."""
    lines = [f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(lines))
