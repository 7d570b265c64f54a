//! Work that must go on while requests keep all other threads busy.

use std::pin::pin;

use futures_util::future::select;
use tokio::sync::oneshot;

/// A thread with a runtime of its own. Its work ends with this.
pub struct Thread {
    _stop: oneshot::Sender<()>,
}

impl Thread {
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, work: impl Future<Output = ()> + Send + 'static) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                select(pin!(work), stopped).await;
            })
        })?;
        Ok(Self { _stop: stop })
    }
}
