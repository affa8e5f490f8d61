//! The SQLite database of the queues.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::SqsError;
use super::settings::QueueSettings;
use super::{Depth, QueueTransaction};
use crate::{StartError, state_file};

/// Times are milliseconds since the epoch. `receipt` is the handle of the latest receive. A message
/// without one that is not visible yet is delayed.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS queues (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    purged_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY,
    queue TEXT NOT NULL REFERENCES queues (name),
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,
    message_group TEXT,
    sent_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    receives INTEGER NOT NULL DEFAULT 0,
    first_received_at INTEGER,
    receipt TEXT UNIQUE,
    dead_letter_source TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, visible_at, number);
CREATE TABLE IF NOT EXISTS moves (
    number INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    task TEXT NOT NULL
) STRICT;
";

/// Opens the database in a file or in memory.
pub(super) fn open(file: Option<&Path>) -> Result<Connection, StartError> {
    let database = state_file::open_database(file)?;
    database.execute_batch(SCHEMA).map_err(SqsError::from)?;
    Ok(database)
}

/// Deletes everything.
pub(super) fn clear(transaction: &QueueTransaction<'_>) -> Result<(), SqsError> {
    let tables = "DELETE FROM messages; DELETE FROM moves; DELETE FROM queues;";
    Ok(transaction.database.execute_batch(tables)?)
}

impl QueueTransaction<'_> {
    /// Returns the name and the settings of the queue with this URL.
    pub(super) fn queue(&self, url: &str) -> Result<(String, QueueSettings), SqsError> {
        let name = url.rsplit('/').next().unwrap_or_default();
        let settings = self.settings(name)?.ok_or(SqsError::QueueDoesNotExist)?;
        Ok((name.to_owned(), settings))
    }

    pub(super) fn settings(&self, name: &str) -> Result<Option<QueueSettings>, SqsError> {
        let settings: Option<String> = self
            .database
            .prepare_cached("SELECT settings FROM queues WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        Ok(settings.as_deref().map(serde_json::from_str).transpose()?)
    }

    /// Returns all queues with their settings, sorted by name.
    pub(super) fn queues(&self) -> Result<Vec<(String, QueueSettings)>, SqsError> {
        let mut statement =
            self.database.prepare_cached("SELECT name, settings FROM queues ORDER BY name")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        rows.into_iter()
            .map(|(name, settings)| Ok((name, serde_json::from_str(&settings)?)))
            .collect()
    }

    pub(super) fn write_settings(
        &self,
        name: &str,
        settings: &QueueSettings,
    ) -> Result<(), SqsError> {
        self.database.execute(
            "INSERT INTO queues (name, settings, created_at, changed_at) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (name) DO UPDATE SET settings = ?2, changed_at = ?3",
            params![name, serde_json::to_string(settings)?, self.now],
        )?;
        Ok(())
    }

    pub(super) fn depth(&self, name: &str) -> Result<Depth, SqsError> {
        let depth = self.database.query_row(
            "SELECT count(*) FILTER (WHERE visible_at <= ?2),
                    count(*) FILTER (WHERE visible_at > ?2 AND receipt IS NOT NULL),
                    count(*) FILTER (WHERE visible_at > ?2 AND receipt IS NULL)
             FROM messages WHERE queue = ?1",
            params![name, self.now],
            |row| Ok(Depth { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? }),
        )?;
        Ok(depth)
    }
}
