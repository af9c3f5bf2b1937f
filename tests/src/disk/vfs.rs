#![allow(unsafe_code)]
//! What SQLite calls: the C face of the made-up disks.
//!
//! It does not: keep a byte: every call turns into one on the disk that the path names.
//!
//! Invariants: nothing unwinds into SQLite. A handle of before a power cut answers with an I/O error, but
//! to closing and to giving locks back, which succeed and change nothing.

use super::locks::{Locks, NONE, Shm};
use super::{Op, Shared, State, Trouble, find, hold};
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Once};

/// The name under which SQLite knows the disks.
pub const VFS: &str = "sampan-disk";
const VFS_NAME: &CStr = c"sampan-disk";

/// What a path may have, in bytes.
const PATH_MAX: c_int = 512;

/// An open file.
struct Handle {
    disk: Arc<Shared>,
    me: u64,
    file: u64,
    generation: u64,
    /// The next sync also makes names durable, as for every new journal.
    folder: bool,
    shm: Option<Arc<Shm>>,
}

/// What SQLite allocates for an open file: its own head, then ours.
#[repr(C)]
struct File {
    head: ffi::sqlite3_file,
    handle: *mut Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes the disks known to SQLite, once.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: PATH_MAX,
            pNext: std::ptr::null_mut(),
            zName: VFS_NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        // SAFETY: the structure is leaked, so it lives as long as SQLite may look at it; 0: not the default.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite does not take the made-up disks");
    });
}

/// The handle of an open file.
///
/// # Safety
/// `file` is one that `open` filled and `close` has not seen; SQLite uses a file from one thread at a time.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: by the contract above, the pointer is to our `File` and the box in it is alive and unshared.
    unsafe { &mut *(*file.cast::<File>()).handle }
}

/// # Safety
/// `text` is null or ends with a zero byte, as all names from SQLite do.
unsafe fn path<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

fn code(result: Result<(), Trouble>, io: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Trouble::Io) => io,
        Err(Trouble::Full) => ffi::SQLITE_FULL,
    }
}

impl Handle {
    /// Does something with the disk, unless the power went.
    fn with<R>(&self, f: impl FnOnce(&mut State) -> Result<R, Trouble>) -> Result<R, Trouble> {
        let mut state = hold(&self.disk.state);
        state.check(self.generation)?;
        f(&mut state)
    }

    fn locks<R>(&self, f: impl FnOnce(&mut Locks) -> R) -> Result<R, Trouble> {
        self.with(|s| Ok(f(s.locks.entry(self.file).or_default())))
    }
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let file = file.cast::<File>();
    // SAFETY: SQLite gives room for `szOsFile` bytes; without methods it will not call `close`.
    unsafe {
        (*file).head.pMethods = std::ptr::null();
        (*file).handle = std::ptr::null_mut();
    }
    // SAFETY: a name from SQLite. Files without one are temporary, which the store keeps in memory.
    let Some((disk, name)) = unsafe { path(name) }.and_then(find) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let opened = {
        let mut s = hold(&disk.state);
        if s.off {
            return ffi::SQLITE_CANTOPEN;
        }
        match s.model.find(&name) {
            Some(_) if create && flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0 => return ffi::SQLITE_CANTOPEN,
            Some(found) => (found, s.generation),
            None if !create => return ffi::SQLITE_CANTOPEN,
            None => {
                let made = s.model.next_file();
                match s.act(Op::Create(name)) {
                    Ok(()) => (made, s.generation),
                    Err(Trouble::Io) => return ffi::SQLITE_CANTOPEN,
                    Err(Trouble::Full) => return ffi::SQLITE_FULL,
                }
            }
        }
    };
    let me = {
        let mut s = hold(&disk.state);
        s.handles += 1;
        s.handles
    };
    let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
    let folder = create && flags & journal != 0;
    let (number, generation) = opened;
    let handle = Box::new(Handle { disk, me, file: number, generation, folder, shm: None });
    // SAFETY: as above; `close` takes the box back.
    unsafe {
        (*file).handle = Box::into_raw(handle);
        (*file).head.pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once; the pointer came from a box.
    let handle = unsafe { Box::from_raw((*file.cast::<File>()).handle) };
    if let Some(shm) = &handle.shm {
        shm.leave(handle.me);
    }
    // Of a disk without power there is nothing to give back.
    let _ = handle.locks(|l| l.give(handle.me, NONE));
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: an open file, and a buffer of `len` bytes.
    let (h, out) = unsafe { (handle(file), std::slice::from_raw_parts_mut(out.cast::<u8>(), len as usize)) };
    match h.with(|s| s.read(h.file, at as u64, out)) {
        Ok(n) if n == out.len() => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: an open file, and a buffer of `len` bytes.
    let (h, bytes) = unsafe { (handle(file), std::slice::from_raw_parts(bytes.cast::<u8>(), len as usize)) };
    code(h.with(|s| s.act(Op::Write(h.file, at as u64, bytes.to_vec()))), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    let done = h.with(|s| {
        // Cutting to the length that it has is nothing.
        if s.model.content(h.file).len() as i64 == size { Ok(()) } else { s.act(Op::Cut(h.file, size as u64)) }
    });
    code(done, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    let done = h.with(|s| s.act(Op::Sync(h.file, h.folder)));
    h.folder &= done.is_err();
    code(done, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    match h.with(|s| Ok(s.model.content(h.file).len())) {
        Ok(n) => {
            // SAFETY: SQLite gives the place of its own variable.
            unsafe { *out = n as i64 };
            ffi::SQLITE_OK
        }
        Err(_) => ffi::SQLITE_IOERR_FSTAT,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    match h.locks(|l| l.take(h.me, level)) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_BUSY,
        Err(_) => ffi::SQLITE_IOERR_LOCK,
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    // The power took the locks with it.
    let _ = h.locks(|l| l.give(h.me, level));
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    match h.locks(|l| l.reserved()) {
        Ok(held) => {
            // SAFETY: SQLite gives the place of its own variable.
            unsafe { *out = c_int::from(held) };
            ffi::SQLITE_OK
        }
        Err(_) => ffi::SQLITE_IOERR_CHECKRESERVEDLOCK,
    }
}

unsafe extern "C" fn file_control(_file: *mut ffi::sqlite3_file, _op: c_int, _arg: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    4_096
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    if hold(&h.disk.state).model.rough { 0 } else { ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    let shm = h.shm.clone().map_or_else(
        || {
            h.with(|s| {
                let place = s.shm.entry(h.file).or_default();
                Ok(place.upgrade().unwrap_or_else(|| {
                    let fresh = Arc::new(Shm::default());
                    *place = Arc::downgrade(&fresh);
                    fresh
                }))
            })
        },
        |shm| h.with(|_| Ok(shm)),
    );
    let Ok(shm) = shm else { return ffi::SQLITE_IOERR_SHMMAP };
    let found = shm.region(region as usize, size as usize, extend != 0);
    h.shm = Some(shm);
    // SAFETY: SQLite gives the place of its own variable. The memory lives as long as the handle's `shm`.
    unsafe { *out = found.unwrap_or(std::ptr::null_mut()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, first: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file.
    let h = unsafe { handle(file) };
    let take = flags & ffi::SQLITE_SHM_LOCK != 0;
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    let Some(shm) = &h.shm else { return ffi::SQLITE_IOERR_SHMLOCK };
    if take && h.with(|_| Ok(())).is_err() {
        return ffi::SQLITE_IOERR_SHMLOCK;
    }
    if shm.lock(h.me, first as usize, n as usize, exclusive, take) { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: an open file. The memory goes with the last connection that leaves.
    let h = unsafe { handle(file) };
    if let Some(shm) = h.shm.take() {
        shm.leave(h.me);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: a name from SQLite.
    let Some((disk, name)) = unsafe { path(name) }.and_then(find) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let mut s = hold(&disk.state);
    if s.off {
        return ffi::SQLITE_IOERR_DELETE;
    }
    if s.model.find(&name).is_none() {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    let done = s.act(Op::Delete(name)).and_then(|()| if sync != 0 { s.act(Op::SyncFolder) } else { Ok(()) });
    code(done, ffi::SQLITE_IOERR_DELETE)
}

unsafe extern "C" fn access(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: a name from SQLite.
    let Some((disk, name)) = unsafe { path(name) }.and_then(find) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    let s = hold(&disk.state);
    if s.off {
        return ffi::SQLITE_IOERR_ACCESS;
    }
    // As the system's layer does: a file without content does not exist for those who ask only that.
    let there =
        s.model.find(&name).is_some_and(|f| flags != ffi::SQLITE_ACCESS_EXISTS || !s.model.content(f).is_empty());
    // SAFETY: SQLite gives the place of its own variable.
    unsafe { *out = c_int::from(there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a name from SQLite.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > len as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: SQLite gives room for `len` bytes, and these fit.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite gives room for `len` bytes.
    unsafe { std::ptr::write_bytes(out, 0x5a, len as usize) };
    len
}

/// Nobody waits on a made-up disk: whoever is in the way runs in between.
unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, us: c_int) -> c_int {
    std::thread::yield_now();
    us
}

/// A day of 2026, in Julian days; the store asks SQLite for no time.
const DAY: i64 = 2_461_041;

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite gives the place of its own variable.
    unsafe { *out = DAY as f64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(_vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite gives the place of its own variable.
    unsafe { *out = DAY * 86_400_000 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_vfs: *mut ffi::sqlite3_vfs, _len: c_int, _out: *mut c_char) -> c_int {
    0
}
