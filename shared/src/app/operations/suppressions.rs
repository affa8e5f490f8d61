//! The suppressed addresses, for operators.

use crate::app::error::Error;
use crate::domain::mailing::AddressDigest;
use crate::domain::text::Email;
use crate::store::Store;
use crate::store::suppressions::SuppressionPage;

pub async fn list(
    store: &Store,
    after: Option<&AddressDigest>,
    limit: usize,
) -> Result<SuppressionPage, Error> {
    Ok(store.suppressions(after, limit).await?)
}

/// Ends a suppression. Returns whether there was one.
pub async fn end(store: &Store, email: &Email) -> Result<bool, Error> {
    Ok(store.delete_suppression(email).await?)
}
