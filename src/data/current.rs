//! What an operator may change while the process runs.

use std::sync::{Arc, PoisonError, RwLock};

/// A value, of which everybody sees the latest. Cheap to clone: all clones are one.
pub struct Current<T>(Arc<RwLock<Arc<T>>>);

impl<T> Current<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// What holds now. Whoever uses it for a while keeps it, whatever is set meanwhile.
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
