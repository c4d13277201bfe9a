//! Which process something belongs to.

use magnus::{Error, Ruby};

/// The process that made something whose threads a fork does not take along.
#[derive(Clone, Copy)]
pub(crate) struct Owner(u32);

impl Owner {
    pub(crate) fn current() -> Self {
        Self(std::process::id())
    }

    pub(crate) fn is_here(self) -> bool {
        self.0 == std::process::id()
    }

    /// # Errors
    /// In a fork of that process.
    pub(crate) fn check(self, ruby: &Ruby) -> Result<(), Error> {
        if self.is_here() {
            return Ok(());
        }
        let message = format!(
            "the service runs in process {}, and this is its fork {}; start one here",
            self.0,
            std::process::id()
        );
        Err(Error::new(ruby.exception_runtime_error(), message))
    }
}
