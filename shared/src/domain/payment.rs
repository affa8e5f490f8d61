//! Payments of the host platform: what one brings to a student, step by step, and the way a refund takes it back.
//!
//! A payment is carried out in steps: the enrollment in a course, the student's pending meetings, and the payment's own
//! classes. Each step is stored with its result, so that a repetition continues after the last one.

mod life_cycle;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::id::{CourseId, PaymentId, SessionId, UserId};
use super::session_window::JoinWindowSettings;

pub use self::life_cycle::{AttemptTime, RequestedPayment};

/// The classes of one payment: a lesson every week for a year. Each is a transaction, and the queue's function carries out
/// this many within its time.
pub const CLASSES_LIMIT: usize = 52;

/// How far a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PaymentState {
    /// Some steps are left.
    Pending,
    /// Every step has a result. Some classes may have failed.
    Done,
    /// The refund is being carried out.
    Refunding,
    Refunded,
}

/// The result of the enrollment in the payment's course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EnrollmentResult {
    /// The payment has no course.
    None,
    Pending,
    /// The payment gave access, alone or together with other payments.
    Granted,
    /// The student had access from the directory.
    AlreadyGranted,
    /// The course or the student is unknown by now.
    Failed,
    /// The refund ended the access.
    Withdrawn,
    /// The access remains after the refund, because the directory or another payment grants it, or has ended before.
    Retained,
}

/// The result of one class of the payment. The id of its session is derived from the payment and the position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassResult {
    Pending,
    Created,
    /// The code of the refusal.
    Failed {
        code: String,
    },
    /// The refund cancelled it.
    Cancelled,
    /// It remains after the refund, because it is over or other people may attend it.
    Retained,
    /// The refund came before it was made.
    Withdrawn,
}

/// The due work of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentWork {
    pub due_at: Timestamp,
    /// Attempts that could not finish.
    #[serde(default)]
    pub attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub id: PaymentId,
    /// `None` if the refund came first, or if the student was erased.
    pub user: Option<UserId>,
    pub course: Option<CourseId>,
    /// The hash of the request's body. `None` until the request has come.
    pub body_hash: Option<String>,
    pub state: PaymentState,
    pub enrollment: EnrollmentResult,
    /// Whether the student's pending meetings are brought forward.
    pub are_meetings_due: bool,
    pub classes: Vec<ClassResult>,
    /// The join window settings of the classes.
    pub window: JoinWindowSettings,
    pub work: Option<PaymentWork>,
    /// Increases with every change.
    pub version: u64,
    pub requested_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The next step of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStep {
    Enroll,
    BringMeetingsForward,
    /// Creates the class at this position.
    CreateClass(usize),
    WithdrawEnrollment,
    /// Cancels the class at this position if it is for the student alone.
    TakeBackClass(usize),
}

/// The numbers of classes that the API shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentCounts {
    pub total: usize,
    /// Including those that were cancelled later.
    pub created: usize,
    pub failed: usize,
    pub cancelled: usize,
}

impl PaymentState {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl EnrollmentResult {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl ClassResult {
    /// Returns whether the class was made.
    fn is_created(&self) -> bool {
        matches!(self, Self::Created | Self::Cancelled | Self::Retained)
    }
}

impl Payment {
    /// Returns the id of the class at a position.
    pub fn session_id(&self, index: usize) -> SessionId {
        SessionId::for_payment(&self.id, u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Returns the ids of the classes that were made.
    pub fn session_ids(&self) -> Vec<SessionId> {
        let made = self.classes.iter().enumerate().filter(|(_, class)| class.is_created());
        made.map(|(index, _)| self.session_id(index)).collect()
    }

    pub fn counts(&self) -> PaymentCounts {
        let count =
            |is: &dyn Fn(&ClassResult) -> bool| self.classes.iter().filter(|it| is(it)).count();
        PaymentCounts {
            total: self.classes.len(),
            created: count(&ClassResult::is_created),
            failed: count(&|result| matches!(result, ClassResult::Failed { .. })),
            cancelled: count(&|result| *result == ClassResult::Cancelled),
        }
    }

    /// Returns the positions and codes of the classes that failed.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &str)> {
        self.classes.iter().enumerate().filter_map(|(index, class)| match class {
            ClassResult::Failed { code } => Some((index, code.as_str())),
            _ => None,
        })
    }
}
