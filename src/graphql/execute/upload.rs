//! Takes in files that mutations name afterwards.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::{ID, ServerError};
use bytes::Bytes;

use super::Executor;
use crate::data::ledger::{Ledger, Origin};
use crate::data::trace::Trace;
use crate::data::write::Refused;
use crate::domain::import::upload::StoreUpload;
use crate::graphql::context::Viewer;
use crate::graphql::error::{Code, failure, request_error};
use crate::graphql::id;

/// A file that is kept.
pub struct Stored {
    /// As mutations take it.
    pub id: ID,
    /// In bytes.
    pub size: i64,
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
}

impl Executor {
    /// Keeps a file of products, for the viewer to import.
    ///
    /// # Errors
    /// For one that cannot be imported, from whoever may not write products, or who asks for too much.
    pub async fn store_products(
        &self,
        content: Bytes,
        client: IpAddr,
        request_id: &str,
        trace: Trace,
    ) -> Result<Stored, ServerError> {
        self.charge(client, 1).await?;
        let viewer = Viewer::ANYBODY;
        let work = StoreUpload::of_products(viewer.scope(), content)
            .await
            .map_err(|flaw| request_error(Code::BadUserInput, flaw))?;
        let origin = Arc::new(Origin::new(None, Some(request_id.into())));
        match self.shared.means.writes.run(work, None, &Arc::new(Ledger::of(origin, trace))).await {
            Ok(done) => {
                let upload = done.output;
                Ok(Stored { id: id::named(id::UPLOAD, upload.id), size: upload.size, sha256: upload.sha256 })
            }
            Err(Refused::Data(error)) => Err(failure(&error, request_id)),
            Err(Refused::Rule(never)) => match never {},
        }
    }
}
