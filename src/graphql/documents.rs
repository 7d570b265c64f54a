//! Parsed documents, kept by their text: clients send the same few again and again.

use std::sync::Arc;

use async_graphql::ServerError;
use async_graphql::parser::{parse_query, types::ExecutableDocument};
use moka::sync::Cache;

/// A bounded memory of parsed documents.
pub struct Documents {
    parsed: Cache<Arc<str>, Arc<ExecutableDocument>>,
}

impl Documents {
    /// Keeps at most about `bytes` of text.
    pub fn new(bytes: u64) -> Self {
        let weigh = |text: &Arc<str>, _: &Arc<ExecutableDocument>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { parsed: Cache::builder().weigher(weigh).max_capacity(bytes).build() }
    }

    /// The document of a text.
    pub fn parse(&self, text: &str) -> Result<ExecutableDocument, ServerError> {
        if let Some(document) = self.parsed.get(text) {
            return Ok((*document).clone());
        }
        let document = parse_query(text)?;
        self.parsed.insert(text.into(), Arc::new(document.clone()));
        Ok(document)
    }
}
