//! An allocator that counts, for each thread by itself, and can say where a thread allocates.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its nature; this one counts and passes on"
)]
#![allow(dead_code, reason = "each of the targets that share this file uses a part of it")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The allocator; it installs itself in every target that includes this file.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Threads that are told apart; those that come later share the last place.
const THREADS_MAX: usize = 64;
/// Allocations of which the place is kept.
const TRACES_MAX: usize = 20_000;

static PLACES: [Place; THREADS_MAX] = [const { Place::new() }; THREADS_MAX];
static NEXT: AtomicUsize = AtomicUsize::new(0);
static TRACES: Mutex<Vec<(usize, Backtrace)>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    static IS_TRACING: Cell<bool> = const { Cell::new(false) };
}

/// What one thread has done. Only that thread writes; anybody may read.
struct Place {
    thread: AtomicI32,
    allocations: AtomicU64,
    bytes: AtomicU64,
    freed: AtomicU64,
    is_traced: AtomicBool,
}

impl Place {
    const fn new() -> Self {
        Self {
            thread: AtomicI32::new(0),
            allocations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            is_traced: AtomicBool::new(false),
        }
    }
}

/// What a thread has allocated so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Allocations, growing in place included.
    pub(crate) allocations: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Bytes that the thread has freed, whoever allocated them.
    pub(crate) freed: u64,
}

impl Counts {
    /// What came since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations - earlier.allocations,
            bytes: self.bytes - earlier.bytes,
            freed: self.freed - earlier.freed,
        }
    }

    /// Bytes allocated and not freed.
    pub(crate) fn kept(self) -> u64 {
        self.bytes.saturating_sub(self.freed)
    }
}

/// A thread that is watched from another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched(usize);

impl Watched {
    /// The thread of this process that is called `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        (0..NEXT.load(Relaxed).min(THREADS_MAX)).map(Self).find(|watched| {
            let path = format!("/proc/self/task/{}/comm", watched.id());
            fs::read_to_string(path).is_ok_and(|comm| comm.trim() == name)
        })
    }

    /// The calling thread.
    pub(crate) fn this() -> Self {
        drop(Box::new(0_u8));
        Self(own())
    }

    /// The system's number of the thread.
    pub(crate) fn id(self) -> i32 {
        PLACES[self.0].thread.load(Relaxed)
    }

    /// What it has allocated so far.
    pub(crate) fn counts(self) -> Counts {
        let place = &PLACES[self.0];
        Counts {
            allocations: place.allocations.load(Relaxed),
            bytes: place.bytes.load(Relaxed),
            freed: place.freed.load(Relaxed),
        }
    }

    /// Keeps the places where the thread allocates from now on.
    pub(crate) fn trace(self) {
        PLACES[self.0].is_traced.store(true, Relaxed);
    }

    /// Ends that: how often and how many bytes, and the frames of this project, for each place.
    pub(crate) fn traced(self) -> Vec<(usize, usize, String)> {
        PLACES[self.0].is_traced.store(false, Relaxed);
        let traces = TRACES.lock().map(|mut traces| std::mem::take(&mut *traces));
        let mut places: Vec<(usize, usize, String)> = Vec::new();
        for (bytes, trace) in traces.unwrap_or_default() {
            let text = frames(&trace.to_string());
            match places.iter_mut().find(|(_, _, known)| *known == text) {
                Some((count, sum, _)) => {
                    *count += 1;
                    *sum += bytes;
                }
                None => places.push((1, bytes, text)),
            }
        }
        places.sort_by_key(|(count, _, _)| std::cmp::Reverse(*count));
        places
    }
}

/// The frames that say something: this project's and the runtime's, innermost first.
fn frames(trace: &str) -> String {
    let lines = trace.lines().map(str::trim);
    let named = lines.filter(|line| line.contains("ringway::") || line.contains("monoio::"));
    let shown: Vec<&str> = named.filter(|line| !line.contains("counting")).take(8).collect();
    shown.join("\n      ")
}

fn own() -> usize {
    // A thread that is ending has no place any more: what it still does is nobody's.
    OWN.try_with(|own| {
        if own.get() == usize::MAX {
            let place = NEXT.fetch_add(1, Relaxed).min(THREADS_MAX - 1);
            own.set(place);
            // SAFETY: a call without arguments that cannot fail.
            PLACES[place].thread.store(unsafe { libc::gettid() }, Relaxed);
        }
        own.get()
    })
    .unwrap_or(THREADS_MAX - 1)
}

fn note(allocated: usize, freed: usize) {
    if IS_TRACING.try_with(Cell::get).unwrap_or(true) {
        return;
    }
    let place = &PLACES[own()];
    place.freed.fetch_add(freed as u64, Relaxed);
    if allocated == 0 {
        return;
    }
    place.allocations.fetch_add(1, Relaxed);
    place.bytes.fetch_add(allocated as u64, Relaxed);
    if place.is_traced.load(Relaxed) {
        IS_TRACING.set(true);
        if let Ok(mut traces) = TRACES.lock()
            && traces.len() < TRACES_MAX
        {
            traces.push((allocated, Backtrace::force_capture()));
        }
        IS_TRACING.set(false);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: passed on as it came.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: passed on as it came.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: passed on as it came.
        unsafe { System.realloc(memory, layout, size) }
    }
}
