//! What can go wrong at the store, named for what the caller does about it.

/// A read or write that did not happen as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Throttled, timed out or in conflict for longer than we wait. Whether a write took effect is not known.
    #[error("the table is busy: {operation}")]
    Busy {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An item that makes no sense to this version: a bug or a foreign hand. Its key is safe to log.
    #[error("the item {key} cannot be read: {what}")]
    Corrupt { key: String, what: String },
    /// Anything else: a missing table, a missing right, a request that DynamoDB refuses.
    #[error("the table failed: {operation}")]
    Failed {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A transaction that changed nothing, or of which that cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// At least one condition did not hold; each with what it was about. Final: nothing was written.
    #[error("a condition did not hold: {0:?}")]
    Refused(Vec<super::tx::ConditionSubject>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommitError {
    /// Whether the condition on `subject` was among those that did not hold.
    pub fn refused(&self, subject: super::tx::ConditionSubject) -> bool {
        matches!(self, Self::Refused(subjects) if subjects.contains(&subject))
    }
}
