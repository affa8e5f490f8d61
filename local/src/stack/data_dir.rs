//! The directory of `--data`: one stack uses it at a time, and all its files must be those of one stack.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use simulated_aws::state_file::{self, StateFileError};

/// The file that the running stack locks.
const LOCK: &str = "lock";
/// The file that shows whether the other ones are complete.
const MANIFEST: &str = "stack.json";
/// The form of the directory. Raise it when a file is added.
const VERSION: u32 = 1;
pub(super) const ZOOM_FILE: &str = "zoom.json";
pub(super) const CLOCK_FILE: &str = "clock.json";
/// The files with the state.
const STATE_FILES: [&str; 6] =
    ["dynamodb.sqlite", "sqs.sqlite", "mail.sqlite", "secrets.json", ZOOM_FILE, CLOCK_FILE];
/// The endings that SQLite and the writer of JSON files add to the name of a file.
const ADDITIONS: [&str; 4] = ["", "-wal", "-shm", ".new"];
/// A file of the form before the manifest.
const FORMER_MARKER: &str = "seeded";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("--data needs the name of a directory")]
    NoName,
    #[error("the data directory {} cannot be used: {source}", dir.display())]
    Directory { dir: PathBuf, source: io::Error },
    #[error(
        "another stack uses the data directory {}: stop it, or start with another directory",
        .0.display()
    )]
    InUse(PathBuf),
    #[error(transparent)]
    File(#[from] StateFileError),
}

/// A data directory that this process has locked until the value is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    pub(super) path: PathBuf,
    /// Whether an earlier run has stored its state.
    pub(super) has_state: bool,
    _lock: File,
}

impl DataDir {
    /// Locks the directory and checks that no file of a stored state is missing.
    pub(super) fn open(path: PathBuf) -> Result<Self, DataError> {
        if path.as_os_str().is_empty() {
            return Err(DataError::NoName);
        }
        let lock = lock(&path)?;
        let has_state = has_state(&path)?;
        let dir = Self { path, has_state, _lock: lock };
        if !has_state {
            dir.remove_state()?;
            set_complete(&dir.path, false)?;
        }
        Ok(dir)
    }

    /// Deletes the rest of an interrupted first start.
    fn remove_state(&self) -> Result<(), DataError> {
        for name in STATE_FILES {
            for addition in ADDITIONS {
                match std::fs::remove_file(self.path.join(format!("{name}{addition}"))) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(DataError::Directory { dir: self.path.clone(), source });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Stores whether the files are complete. After a crash before that, the next start begins anew.
pub(super) fn set_complete(dir: &Path, complete: bool) -> Result<(), StateFileError> {
    state_file::write(&dir.join(MANIFEST), VERSION, &json!({ "complete": complete }))
}

fn lock(dir: &Path) -> Result<File, DataError> {
    let failed = |source| DataError::Directory { dir: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let file = File::create(dir.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Returns whether the directory has a complete state. A part of one is an error.
fn has_state(dir: &Path) -> Result<bool, StateFileError> {
    let manifest = dir.join(MANIFEST);
    if !manifest.exists() {
        let others = STATE_FILES.iter().chain([&FORMER_MARKER]);
        return match others.map(|name| dir.join(name)).find(|file| file.exists()) {
            Some(_) => Err(StateFileError::Missing(manifest)),
            None => Ok(false),
        };
    }
    if state_file::read(&manifest, VERSION)?["complete"] != true {
        return Ok(false);
    }
    for name in STATE_FILES {
        state_file::check_present(&dir.join(name))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path) -> Result<bool, String> {
        let opened = DataDir::open(dir.to_owned());
        opened.map(|dir| dir.has_state).map_err(|error| error.to_string())
    }

    /// Stores a complete state.
    fn store(dir: &Path) {
        let _data = DataDir::open(dir.to_owned()).unwrap();
        for name in STATE_FILES {
            std::fs::write(dir.join(name), "state").unwrap();
        }
        set_complete(dir, true).unwrap();
    }

    #[test]
    fn directory_is_locked_by_one_stack() {
        assert_eq!(opened(Path::new("")).unwrap_err(), "--data needs the name of a directory");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/data");
        let first = DataDir::open(path.clone()).unwrap();
        assert!(opened(&path).unwrap_err().contains("another stack uses the data directory"));
        drop(first);
        assert_eq!(opened(&path), Ok(false));
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(opened(&dir.path().join("file")).unwrap_err().contains("/file cannot be used"));
    }

    #[test]
    fn missing_or_empty_file_is_refused_by_its_name() {
        for name in STATE_FILES.into_iter().chain([MANIFEST]) {
            let dir = tempfile::tempdir().unwrap();
            store(dir.path());
            assert_eq!(opened(dir.path()), Ok(true));
            let file = dir.path().join(name);
            std::fs::write(&file, "").unwrap();
            let error = opened(dir.path()).unwrap_err();
            assert!(error.contains(&format!("/{name} is empty")), "{error}");
            std::fs::remove_file(&file).unwrap();
            let error = opened(dir.path()).unwrap_err();
            assert!(error.contains(&format!("/{name} is missing")), "{error}");
        }
    }

    #[test]
    fn directory_of_an_older_build_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FORMER_MARKER), "").unwrap();
        assert!(opened(dir.path()).unwrap_err().contains("/stack.json is missing"));
        std::fs::remove_file(dir.path().join(FORMER_MARKER)).unwrap();
        store(dir.path());
        let newer = r#"{"version": 99, "state": {"complete": true}}"#;
        std::fs::write(dir.path().join(MANIFEST), newer).unwrap();
        assert!(opened(dir.path()).unwrap_err().contains("/stack.json has version 99"));
    }

    #[test]
    fn interrupted_first_start_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path());
        let data = DataDir::open(dir.path().to_owned()).unwrap();
        set_complete(dir.path(), false).unwrap();
        drop(data);
        assert_eq!(opened(dir.path()), Ok(false));
        assert!(!dir.path().join(ZOOM_FILE).exists());
    }
}
