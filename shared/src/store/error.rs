//! Errors of the store, grouped by the reaction of the caller.

/// A failed read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB throttled, timed out or reported conflicts for longer than we retry. A write may have taken effect.
    #[error("the table is busy: {operation}")]
    Busy {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An item that this version cannot decode, because a newer version wrote it, or because of a bug or a manual change.
    /// Its key is safe to log.
    #[error("the item {key} cannot be decoded: {reason}")]
    Corrupt { key: String, reason: String },
    /// A permanent error: a missing table, a missing permission, or a request that DynamoDB refuses.
    #[error("the table failed: {operation}")]
    Failed {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A failed transaction or conditional write.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// At least one condition did not hold, and nothing was written. Contains the subject of each failed condition.
    #[error("a condition did not hold: {0:?}")]
    Refused(Vec<super::tx::ConditionSubject>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommitError {
    /// Returns whether the condition on `subject` failed.
    pub fn refused(&self, subject: super::tx::ConditionSubject) -> bool {
        matches!(self, Self::Refused(subjects) if subjects.contains(&subject))
    }
}
