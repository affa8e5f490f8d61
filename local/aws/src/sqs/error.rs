//! SQS's errors: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
//! and the pages of the other operations. Some have a different name in the older query protocol.
//! The SDKs and the failed entries of batches use that name.

use http::StatusCode;

use crate::StartError;
use crate::calls::AwsService;
use crate::refusal::Refusal;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SqsError {
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    #[error("A queue already exists with the same name and a different value for attribute(s).")]
    QueueNameExists,
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    #[error("The message is not in flight.")]
    MessageNotInflight,
    #[error("There should be at least one entry in the batch request.")]
    EmptyBatchRequest,
    #[error("Maximum number of entries per request are {max}. You have sent {sent}.")]
    TooManyEntriesInBatchRequest { sent: usize, max: usize },
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    #[error("Batch requests cannot be longer than {max} bytes. You have sent {sent} bytes.")]
    BatchRequestTooLong { sent: usize, max: usize },
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    InvalidMessageContents,
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    #[error("Invalid value for the parameter {0}.")]
    InvalidAttributeValue(String),
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(&'static str),
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds.")]
    PurgeQueueInProgress(String),
    #[error("The resource that you specified for the SourceArn parameter doesn't exist.")]
    ResourceNotFound,
    #[error("The operation {0} is not supported.")]
    UnsupportedOperation(String),
    #[error("The request could not be read: {0}")]
    Malformed(String),
    /// A fault left this entry of a batch unprocessed.
    #[error("We encountered an internal error. Please try again.")]
    InternalError,
    #[error("Accessing the queue database failed.")]
    Database(#[from] rusqlite::Error),
    #[error("The queue database contains invalid JSON.")]
    Stored(#[from] serde_json::Error),
}

impl SqsError {
    /// Returns the name in the JSON protocol.
    fn code(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "QueueDoesNotExist",
            Self::QueueNameExists => "QueueNameExists",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::MessageNotInflight => "MessageNotInflight",
            Self::EmptyBatchRequest => "EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest { .. } => "TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct(_) => "BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "InvalidBatchEntryId",
            Self::BatchRequestTooLong { .. } => "BatchRequestTooLong",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::InvalidAttributeName(_) => "InvalidAttributeName",
            Self::InvalidAttributeValue(_) => "InvalidAttributeValue",
            Self::InvalidParameterValue(_) => "InvalidParameterValueException",
            Self::MissingParameter(_) => "MissingRequiredParameterException",
            Self::PurgeQueueInProgress(_) => "PurgeQueueInProgress",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::UnsupportedOperation(_) => "UnsupportedOperation",
            Self::Malformed(_) => "SerializationException",
            Self::InternalError | Self::Database(_) | Self::Stored(_) => "InternalFailure",
        }
    }

    /// Returns the name in the query protocol.
    pub(super) fn query_code(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists => "QueueAlreadyExists",
            Self::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Self::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest { .. } => {
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
            }
            Self::BatchEntryIdsNotDistinct(_) => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "AWS.SimpleQueueService.InvalidBatchEntryId",
            Self::BatchRequestTooLong { .. } => "AWS.SimpleQueueService.BatchRequestTooLong",
            Self::PurgeQueueInProgress(_) => "AWS.SimpleQueueService.PurgeQueueInProgress",
            Self::UnsupportedOperation(_) => "AWS.SimpleQueueService.UnsupportedOperation",
            Self::InvalidParameterValue(_) => "InvalidParameterValue",
            Self::MissingParameter(_) => "MissingParameter",
            Self::InternalError => "InternalError",
            Self::ReceiptHandleIsInvalid
            | Self::InvalidMessageContents
            | Self::InvalidAttributeName(_)
            | Self::InvalidAttributeValue(_)
            | Self::ResourceNotFound
            | Self::Malformed(_)
            | Self::Database(_)
            | Self::Stored(_) => self.code(),
        }
    }

    /// Returns whether the sender caused the error.
    pub(super) fn is_sender_fault(&self) -> bool {
        !matches!(self, Self::InternalError | Self::Database(_) | Self::Stored(_))
    }

    /// Returns whether the error concerns one entry only, so that the rest of its batch is processed.
    pub(super) fn is_entry_error(&self) -> bool {
        !matches!(self, Self::Database(_) | Self::Stored(_))
    }

    pub(super) fn to_refusal(&self) -> Refusal {
        let status = if self.is_sender_fault() {
            StatusCode::BAD_REQUEST
        } else {
            tracing::error!(error = self as &dyn std::error::Error, "the SQS emulator failed");
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Refusal::new(AwsService::Sqs, status, self.code(), self.to_string())
            .query_code(self.query_code())
    }
}

impl From<SqsError> for StartError {
    fn from(error: SqsError) -> Self {
        Self::Queues(error.to_string())
    }
}
