//! One prepared statement: binding, stepping, reading columns.
#![expect(unsafe_code, reason = "calls into SQLite")]

use std::ffi::{c_char, c_int};
use std::ptr::{self, NonNull};
use std::slice;

use crate::api::{Api, DONE, INTEGER, NULL, OK, ROW, RawConnection, RawStatement, UTF8};
use crate::error::Error;

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A value of a column whose type nobody knows beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedValue {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// Anything else, as text.
    Text(String),
}

/// A statement of one connection, which finalizes it before it closes.
pub(crate) struct Statement {
    api: &'static Api,
    db: NonNull<RawConnection>,
    raw: NonNull<RawStatement>,
    parameters: usize,
}

impl Statement {
    /// Prepares a text.
    ///
    /// # Safety
    /// The connection must be open, and stay open for as long as the statement is there.
    pub(crate) unsafe fn prepare(
        api: &'static Api,
        db: NonNull<RawConnection>,
        text: &str,
    ) -> Result<Self, Error> {
        let mut raw = ptr::null_mut();
        let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
        // SAFETY: the connection is open; the text is valid for `length` bytes.
        let code = unsafe {
            (api.prepare_v2)(
                db.as_ptr(),
                text.as_ptr().cast::<c_char>(),
                length,
                &raw mut raw,
                ptr::null_mut(),
            )
        };
        match NonNull::new(raw) {
            Some(raw) if code == OK => {
                // SAFETY: the statement was prepared just now.
                let parameters = unsafe { (api.bind_parameter_count)(raw.as_ptr()) };
                Ok(Self {
                    api,
                    db,
                    raw,
                    parameters: usize::try_from(parameters).unwrap_or(0),
                })
            }
            // SAFETY: the connection is open.
            _ => Err(unsafe { last_error(api, db) }),
        }
    }

    /// Runs the statement to its end; gives each row to `each`.
    pub(crate) fn run(
        &mut self,
        parameters: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        assert_eq!(
            parameters.len(),
            self.parameters,
            "a statement got another number of parameters than it has"
        );
        let running = Running(self);
        for (value, index) in parameters.iter().zip(1..) {
            running.0.bind(index, *value)?;
        }
        loop {
            // SAFETY: the statement is not finalized; what is bound to it is borrowed by this call.
            match unsafe { (running.0.api.step)(running.0.raw.as_ptr()) } {
                ROW => each(&Row(running.0))?,
                DONE => return Ok(()),
                _ => return Err(running.0.error()),
            }
        }
    }

    /// Binds a value without a copy: all parameters are bound again before the next step, so none
    /// of them is ever read after the call of `run` that borrows it.
    fn bind(&self, index: c_int, value: Value<'_>) -> Result<(), Error> {
        let (api, raw) = (self.api, self.raw.as_ptr());
        // SAFETY: the statement is reset.  A slice is valid for its length and never null, also
        // when it is empty, so that it is not taken for NULL; without a destructor it is SQLITE_STATIC.
        let code = unsafe {
            match value {
                Value::Null => (api.bind_null)(raw, index),
                Value::Int(number) => (api.bind_int64)(raw, index, number),
                Value::Text(text) => {
                    let (start, length) = (text.as_ptr().cast(), text.len() as u64);
                    (api.bind_text64)(raw, index, start, length, None, UTF8)
                }
                Value::Blob(bytes) => {
                    let (start, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                    (api.bind_blob64)(raw, index, start, length, None)
                }
            }
        };
        if code == OK {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    fn error(&self) -> Error {
        // SAFETY: the connection outlives its statements.
        unsafe { last_error(self.api, self.db) }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: prepared and not finalized before; the connection is still open.
        unsafe { (self.api.finalize)(self.raw.as_ptr()) };
    }
}

/// Resets a statement however its run ends, so that it holds no lock and can be run again.
struct Running<'a>(&'a Statement);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // SAFETY: the statement is not finalized.  The code repeats that of the last step.
        unsafe { (self.0.api.reset)(self.0.raw.as_ptr()) };
    }
}

/// The row on which a statement stands.
pub(crate) struct Row<'a>(&'a Statement);

impl Row<'_> {
    /// An integer; NULL reads as 0.
    pub(crate) fn int(&self, column: c_int) -> i64 {
        // SAFETY: the statement stands on a row; SQLite checks the column's number.
        unsafe { (self.0.api.column_int64)(self.0.raw.as_ptr(), column) }
    }

    /// An integer or NULL.
    pub(crate) fn optional_int(&self, column: c_int) -> Option<i64> {
        (!self.is_null(column)).then(|| self.int(column))
    }

    /// A text; NULL reads as the empty one.
    pub(crate) fn text(&self, column: c_int) -> Result<&str, Error> {
        let raw = self.0.raw.as_ptr();
        // SAFETY: the statement stands on a row.  What is returned stays until the next step, and
        // the row cannot outlive that: `column_bytes` is called on the same type, so converts nothing.
        let bytes = unsafe {
            let start = (self.0.api.column_text)(raw, column);
            let length = (self.0.api.column_bytes)(raw, column);
            slice_of(start, length)
        };
        std::str::from_utf8(bytes).map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// A text, or what is left of it.
    pub(crate) fn lossy_text(&self, column: c_int) -> String {
        String::from_utf8_lossy(self.blob(column)).into_owned()
    }

    /// A text or NULL.
    pub(crate) fn optional_text(&self, column: c_int) -> Result<Option<&str>, Error> {
        if self.is_null(column) {
            return Ok(None);
        }
        self.text(column).map(Some)
    }

    /// Bytes.
    pub(crate) fn blob(&self, column: c_int) -> &[u8] {
        let raw = self.0.raw.as_ptr();
        // SAFETY: as for `text`.
        unsafe {
            let start = (self.0.api.column_blob)(raw, column);
            let length = (self.0.api.column_bytes)(raw, column);
            slice_of(start.cast(), length)
        }
    }

    /// The first column, whatever it is.
    pub(crate) fn first(&self) -> Result<OwnedValue, Error> {
        match self.kind(0) {
            NULL => Ok(OwnedValue::Null),
            INTEGER => Ok(OwnedValue::Int(self.int(0))),
            _ => Ok(OwnedValue::Text(self.text(0)?.to_owned())),
        }
    }

    fn is_null(&self, column: c_int) -> bool {
        self.kind(column) == NULL
    }

    fn kind(&self, column: c_int) -> c_int {
        // SAFETY: the statement stands on a row.
        unsafe { (self.0.api.column_type)(self.0.raw.as_ptr(), column) }
    }
}

/// # Safety
/// `start` is null, or valid for `length` bytes for as long as the caller says.
unsafe fn slice_of<'a>(start: *const u8, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller's promise.
        Ok(length) if !start.is_null() => unsafe { slice::from_raw_parts(start, length) },
        _ => &[],
    }
}

/// What SQLite says about the last call on a connection that failed.
///
/// # Safety
/// The connection must be open.
pub(crate) unsafe fn last_error(api: &Api, db: NonNull<RawConnection>) -> Error {
    // SAFETY: the connection is open; the message stays until the next call on it and ends with zero.
    let (code, message) = unsafe {
        let message = std::ffi::CStr::from_ptr((api.errmsg)(db.as_ptr()));
        (
            (api.extended_errcode)(db.as_ptr()),
            message.to_string_lossy().into_owned(),
        )
    };
    Error::Sqlite { code, message }
}
