//! Files with the state of the stack: JSON files with a version, and SQLite databases whose `user_version` is one.
//!
//! A file that is missing, empty or of another version is an error with the file's name. A stack that continued without
//! it would lose meetings or secrets.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of the databases. Raise it with each change that an earlier or later build cannot read.
const DATABASE_VERSION: u32 = 1;

/// Why the state in a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    #[error("{} is missing. {ADVICE}", .0.display())]
    Missing(PathBuf),
    #[error("{} is empty. {ADVICE}", .0.display())]
    Empty(PathBuf),
    #[error("{} has version {found}, and this build reads version {expected}. {ADVICE}", file.display())]
    Version { file: PathBuf, found: String, expected: u32 },
    #[error("{} cannot be read: {reason}. {ADVICE}", file.display())]
    Unreadable { file: PathBuf, reason: Box<dyn Error + Send + Sync> },
    #[error("{} cannot be written: {reason}", file.display())]
    Unwritable { file: PathBuf, reason: Box<dyn Error + Send + Sync> },
}

const ADVICE: &str = "Restore it, use the build that wrote it, or start with another directory";

impl StateFileError {
    pub fn unreadable(file: &Path, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreadable { file: file.to_owned(), reason: reason.into() }
    }

    fn unwritable(file: &Path, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unwritable { file: file.to_owned(), reason: reason.into() }
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: Value,
    state: Value,
}

#[derive(Serialize)]
struct NewState<'a> {
    version: u32,
    state: &'a Value,
}

/// Checks that a file exists and is not empty.
pub fn check_present(file: &Path) -> Result<(), StateFileError> {
    match fs::metadata(file) {
        Ok(found) if found.len() > 0 => Ok(()),
        Ok(_) => Err(StateFileError::Empty(file.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StateFileError::Missing(file.to_owned()))
        }
        Err(error) => Err(StateFileError::unreadable(file, error)),
    }
}

/// Returns the state in a JSON file of this version.
pub fn read(file: &Path, version: u32) -> Result<Value, StateFileError> {
    check_present(file)?;
    let bytes = fs::read(file).map_err(|error| StateFileError::unreadable(file, error))?;
    let stored: Versioned =
        serde_json::from_slice(&bytes).map_err(|error| StateFileError::unreadable(file, error))?;
    if stored.version != version {
        let found = stored.version.to_string();
        return Err(StateFileError::Version { file: file.to_owned(), found, expected: version });
    }
    Ok(stored.state)
}

/// Writes a JSON file. It first writes to a temporary file, so that a crash or a full disk keeps the previous state.
pub fn write(file: &Path, version: u32, state: &Value) -> Result<(), StateFileError> {
    let temporary_file = file.with_extension("json.new");
    let bytes = serde_json::to_vec(&NewState { version, state })
        .map_err(|error| StateFileError::unwritable(file, error))?;
    fs::write(&temporary_file, bytes)
        .and_then(|()| fs::rename(&temporary_file, file))
        .map_err(|error| StateFileError::unwritable(file, error))
}

/// Opens a database in a file or in memory, and checks its version.
pub fn open_database(file: Option<&Path>) -> Result<Connection, StateFileError> {
    let name = file.unwrap_or(Path::new(":memory:"));
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StateFileError::unwritable(name, error),
        _ => StateFileError::unreadable(name, error),
    };
    let database = match file {
        Some(file) => Connection::open(file),
        None => Connection::open_in_memory(),
    };
    let database = database.map_err(failed)?;
    let open = || {
        // WAL with NORMAL keeps committed changes when the process ends, but not at a power failure.
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "NORMAL")?;
        let tables = "SELECT count(*) FROM sqlite_master";
        let tables: u32 = database.query_row(tables, [], |row| row.get(0))?;
        let version: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if tables == 0 {
            database.pragma_update(None, "user_version", DATABASE_VERSION)?;
            return Ok(DATABASE_VERSION);
        }
        Ok(version)
    };
    let found = open().map_err(failed)?;
    if found != DATABASE_VERSION {
        let (file, found) = (name.to_owned(), found.to_string());
        return Err(StateFileError::Version { file, found, expected: DATABASE_VERSION });
    }
    Ok(database)
}

/// Logs the name of a database that could not grow.
pub(crate) fn log_full_disk(database: &Connection, error: &rusqlite::Error) {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        let file = database.path().unwrap_or_default();
        tracing::error!(event = "stack.disk_full", file, "the last change was not stored");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn state_of_another_form_is_refused_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoom.json");
        write(&file, 3, &json!({"meetings": []})).unwrap();
        assert_eq!(read(&file, 3).unwrap(), json!({"meetings": []}));
        let refused = |file: &Path| {
            let text = read(file, 4).unwrap_err().to_string();
            assert!(text.starts_with(&file.display().to_string()), "{text}");
            text
        };
        assert!(refused(&file).contains("has version 3, and this build reads version 4"));
        assert!(refused(&dir.path().join("none.json")).contains("is missing"));
        for (content, reason) in
            [("", "is empty"), ("{\"meetings\"", "cannot be read"), ("{}", "cannot be read")]
        {
            fs::write(&file, content).unwrap();
            assert!(refused(&file).contains(reason), "{content}");
        }
    }

    #[test]
    fn database_of_another_version_is_refused_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sqs.sqlite");
        let database = open_database(Some(&file)).unwrap();
        database.execute_batch("CREATE TABLE queues (name TEXT)").unwrap();
        open_database(Some(&file)).unwrap();
        database.pragma_update(None, "user_version", 9).unwrap();
        let text = open_database(Some(&file)).unwrap_err().to_string();
        assert!(text.contains("sqs.sqlite has version 9"), "{text}");
        fs::write(dir.path().join("mail.sqlite"), "not a database at all, but a text").unwrap();
        let text = open_database(Some(&dir.path().join("mail.sqlite"))).unwrap_err().to_string();
        assert!(text.contains("mail.sqlite cannot be read: file is not a database"), "{text}");
    }

    #[test]
    fn unwritable_file_keeps_its_state() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock.json");
        write(&file, 1, &json!(1)).unwrap();
        fs::create_dir(dir.path().join("clock.json.new")).unwrap();
        let text = write(&file, 1, &json!(2)).unwrap_err().to_string();
        assert!(text.contains("clock.json cannot be written: "), "{text}");
        assert_eq!(read(&file, 1).unwrap(), json!(1));
    }
}
