//! Expected panics.
//!
//! Neon panics if Node-API refuses a call: in a worker that is being terminated, or where external
//! buffers are forbidden. `deliver` and `buffers` expect that and catch it here, without the report
//! on standard error that would only alarm people for each terminated worker. All other panics are
//! reported as usual.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Makes [`expecting`] silent. The hook is that of the addon's own standard library: no other
/// native module sees it.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                report(info);
            }
        }));
    });
}

/// Runs `work`; a panic in it is not reported but returned, as text.
pub(crate) fn expecting<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    let before = EXPECTED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(before);
    result.map_err(|payload| message(payload.as_ref()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
