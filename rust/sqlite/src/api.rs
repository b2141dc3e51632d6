//! The functions of SQLite that are used, found at run time in the library that Python uses.
#![expect(
    unsafe_code,
    reason = "symbols are looked up by name and called through pointers"
)]

#[cfg(unix)]
use std::ffi::CString;
use std::ffi::{CStr, c_char, c_int, c_uchar, c_void};
use std::fmt;
use std::path::Path;

/// A connection, as SQLite knows it.
#[repr(C)]
pub(crate) struct RawConnection {
    _opaque: [u8; 0],
}

/// A statement, as SQLite knows it.
#[repr(C)]
pub(crate) struct RawStatement {
    _opaque: [u8; 0],
}

type Db = *mut RawConnection;
type Stmt = *mut RawStatement;
type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Pointers to functions, each without its prefix `sqlite3_`.
        pub(crate) struct Api {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Api {
            fn find(handle: *mut c_void) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        let symbol = symbol(handle, concat!("sqlite3_", stringify!($name)))?;
                        // SAFETY: a function of this name has this signature since SQLite 3.10.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(symbol)
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    libversion() -> *const c_char;
    sourceid() -> *const c_char;
    threadsafe() -> c_int;
    soft_heap_limit64(i64) -> i64;
    open_v2(*const c_char, *mut Db, c_int, *const c_char) -> c_int;
    close_v2(Db) -> c_int;
    extended_result_codes(Db, c_int) -> c_int;
    extended_errcode(Db) -> c_int;
    errmsg(Db) -> *const c_char;
    busy_timeout(Db, c_int) -> c_int;
    changes(Db) -> c_int;
    get_autocommit(Db) -> c_int;
    prepare_v2(Db, *const c_char, c_int, *mut Stmt, *mut *const c_char) -> c_int;
    finalize(Stmt) -> c_int;
    step(Stmt) -> c_int;
    reset(Stmt) -> c_int;
    bind_parameter_count(Stmt) -> c_int;
    bind_null(Stmt, c_int) -> c_int;
    bind_int64(Stmt, c_int, i64) -> c_int;
    bind_text64(Stmt, c_int, *const c_char, u64, Destructor, c_uchar) -> c_int;
    bind_blob64(Stmt, c_int, *const c_void, u64, Destructor) -> c_int;
    column_type(Stmt, c_int) -> c_int;
    column_int64(Stmt, c_int) -> i64;
    column_text(Stmt, c_int) -> *const c_uchar;
    column_blob(Stmt, c_int) -> *const c_void;
    column_bytes(Stmt, c_int) -> c_int;
}

pub(crate) const OK: c_int = 0;
pub(crate) const ROW: c_int = 100;
pub(crate) const DONE: c_int = 101;
pub(crate) const OPEN_READWRITE: c_int = 0x2;
pub(crate) const UTF8: c_uchar = 1;
pub(crate) const INTEGER: c_int = 1;
pub(crate) const NULL: c_int = 5;

/// A copy of SQLite that this process has loaded already.
#[derive(Clone, Copy)]
pub struct Library(pub(crate) &'static Api);

impl Library {
    /// The copy that a loaded extension module is linked with; without a path, the one that the
    /// program itself is linked with.
    ///
    /// # Errors
    /// The reason why there is none that can be used, in words.
    pub fn of(module: Option<&Path>) -> Result<Self, String> {
        let api = Api::find(handle(module)?)?;
        // SAFETY: the function has no precondition.
        if unsafe { (api.threadsafe)() } == 0 {
            return Err("SQLite was compiled for a single thread".into());
        }
        Ok(Self(Box::leak(Box::new(api))))
    }

    /// The library of that name, loaded for a test that runs outside of Python.
    #[cfg(all(test, unix))]
    pub(crate) fn loaded_now(name: &str) -> Option<Self> {
        let text = CString::new(name).ok()?;
        // SAFETY: the library of SQLite runs no code when it is loaded.
        unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW) };
        Self::of(Some(Path::new(name))).ok()
    }

    /// The version, as in `sqlite3.sqlite_version`.
    pub fn version(self) -> String {
        // SAFETY: the function has no precondition; the text is constant and ends with a zero.
        let text = unsafe { CStr::from_ptr((self.0.libversion)()) };
        text.to_string_lossy().into_owned()
    }

    /// The check-in that it was built from, as `sqlite_source_id()` in SQL.
    pub fn source_id(self) -> String {
        // SAFETY: as above.
        let text = unsafe { CStr::from_ptr((self.0.sourceid)()) };
        text.to_string_lossy().into_owned()
    }

    /// Sets the soft limit of memory, which each copy keeps for itself; returns the one before.
    pub fn set_soft_heap_limit(self, bytes: i64) -> i64 {
        // SAFETY: the function has no precondition; the library is safe for threads.
        unsafe { (self.0.soft_heap_limit64)(bytes) }
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.version()).finish()
    }
}

#[cfg(unix)]
fn handle(module: Option<&Path>) -> Result<*mut c_void, String> {
    use std::os::unix::ffi::OsStrExt;

    let Some(module) = module else {
        return Ok(libc::RTLD_DEFAULT);
    };
    let path = CString::new(module.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: RTLD_NOLOAD runs no code of the library: it only finds one that was loaded before.
    // The handle is never closed, so what is found through it stays where it is.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW) };
    if handle.is_null() {
        return Err(format!("{} is not loaded", module.display()));
    }
    Ok(handle)
}

#[cfg(unix)]
fn symbol(handle: *mut c_void, name: &str) -> Result<*mut c_void, String> {
    let text = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the handle is open, or stands for the program; the name ends with a zero.
    let symbol = unsafe { libc::dlsym(handle, text.as_ptr()) };
    if symbol.is_null() {
        return Err(format!("there is no {name}"));
    }
    Ok(symbol)
}

#[cfg(not(unix))]
fn handle(_module: Option<&Path>) -> Result<*mut c_void, String> {
    Err("this system has no dlopen".into())
}

#[cfg(not(unix))]
fn symbol(_handle: *mut c_void, name: &str) -> Result<*mut c_void, String> {
    Err(format!("there is no {name}"))
}
