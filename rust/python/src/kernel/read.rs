//! From the Python structs of `durable_primitives.kernel` to the core's.

use std::sync::Arc;

use durable_core::transition::model::{
    Batching, Burial, ClaimRequest, Clear, Create, Due, Guard, Held, How, LeaseRef, NewItem, Put,
    Release, Removal, Reschedule, Retire, Settlement, Transition,
};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

/// Reads one attribute.
macro_rules! get {
    ($object:expr, $name:literal) => {
        $object.getattr(intern!($object.py(), $name))?
    };
}

/// Reads one attribute that may be None.
macro_rules! optional {
    ($object:expr, $name:literal, $read:expr) => {{
        let value = get!($object, $name);
        if value.is_none() {
            None
        } else {
            Some($read(&value)?)
        }
    }};
}

/// Reads one tuple, and nothing at all of an empty one.
macro_rules! each {
    ($object:expr, $name:literal, $read:expr) => {{
        let value = get!($object, $name);
        let tuple = value.cast::<PyTuple>()?;
        if tuple.is_empty() {
            Vec::new()
        } else {
            tuple
                .iter()
                .map(|one| $read(&one))
                .collect::<PyResult<Vec<_>>>()?
        }
    }};
}

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

pub(crate) fn text(value: Any<'_, '_>) -> PyResult<Arc<str>> {
    Ok(value.cast::<PyString>()?.to_str()?.into())
}

fn bytes(value: Any<'_, '_>) -> PyResult<Arc<[u8]>> {
    Ok(value.cast::<PyBytes>()?.as_bytes().into())
}

fn number(value: Any<'_, '_>) -> PyResult<i64> {
    value.extract()
}

fn flag(value: Any<'_, '_>) -> PyResult<bool> {
    value.extract()
}

pub(crate) fn transition(t: Any<'_, '_>) -> PyResult<Transition> {
    let guard = get!(t, "guard");
    Ok(Transition {
        instance: text(&get!(t, "instance"))?,
        at: number(&get!(t, "at"))?,
        guard: if guard.is_none() {
            Guard::default()
        } else {
            read_guard(&guard)?
        },
        erase: flag(&get!(t, "erase"))?,
        create: optional!(t, "create", create),
        remember: each!(t, "remember", text),
        put: optional!(t, "put", put),
        remove: each!(t, "remove", removal),
        reschedule: each!(t, "reschedule", reschedule),
        give_back: each!(t, "give_back", number),
        mark: each!(t, "mark", mark),
        bury: each!(t, "bury", burial),
        redrive: each!(t, "redrive", text),
        discard: each!(t, "discard", text),
        retire: optional!(t, "retire", retire),
        clear: optional!(t, "clear", clear),
        cancel: each!(t, "cancel", text),
        append: each!(t, "append", new_item),
        batching: optional!(t, "batching", batching),
        drop_oldest: get!(t, "on_full").cast::<PyString>()?.to_str()? == "drop_oldest",
        seal: flag(&get!(t, "seal"))?,
        dues: each!(t, "dues", due),
        progress: flag(&get!(t, "progress"))?,
        take: get!(t, "take").extract()?,
        release: release(&get!(t, "release"))?,
    })
}

pub(crate) fn request(request: Any<'_, '_>) -> PyResult<ClaimRequest> {
    Ok(ClaimRequest {
        owner: text(&get!(request, "owner"))?,
        at: number(&get!(request, "at"))?,
        lease_ms: number(&get!(request, "lease_ms"))?,
        limit: get!(request, "limit").extract()?,
        take: get!(request, "take").extract()?,
    })
}

pub(crate) fn transitions(transitions: Any<'_, '_>) -> PyResult<Vec<Transition>> {
    let each = transitions.try_iter()?;
    each.map(|one| transition(&one?)).collect()
}

pub(crate) fn leases(leases: Any<'_, '_>) -> PyResult<Vec<LeaseRef>> {
    let lease = |lease: Any<'_, '_>| {
        Ok(LeaseRef {
            instance: text(&get!(lease, "instance"))?,
            token: number(&get!(lease, "token"))?,
        })
    };
    leases.try_iter()?.map(|one| lease(&one?)).collect()
}

fn read_guard(guard: Any<'_, '_>) -> PyResult<Guard> {
    Ok(Guard {
        exists: optional!(guard, "exists", flag),
        version: optional!(guard, "version", number),
        generation: optional!(guard, "generation", number),
        token: optional!(guard, "token", number),
        segment: optional!(guard, "segment", number),
        room: optional!(guard, "room", number),
    })
}

fn create(create: Any<'_, '_>) -> PyResult<Create> {
    Ok(Create {
        status: text(&get!(create, "status"))?,
        data: bytes(&get!(create, "data"))?,
        segment: number(&get!(create, "segment"))?,
        linger_ms: optional!(create, "linger_ms", number),
    })
}

fn put(put: Any<'_, '_>) -> PyResult<Put> {
    Ok(Put {
        status: text(&get!(put, "status"))?,
        data: bytes(&get!(put, "data"))?,
        held: flag(&get!(put, "held"))?,
        linger_ms: optional!(put, "linger_ms", number),
    })
}

fn new_item(item: Any<'_, '_>) -> PyResult<NewItem> {
    Ok(NewItem {
        id: optional!(item, "id", text),
        payload: bytes(&get!(item, "payload"))?,
        lane: optional!(item, "lane", text),
        due: number(&get!(item, "due"))?,
        rank: number(&get!(item, "rank"))?,
        fresh: flag(&get!(item, "fresh"))?,
        blocks: flag(&get!(item, "blocks"))?,
    })
}

fn held(item: Any<'_, '_>) -> PyResult<Held> {
    Ok(Held {
        place: (
            number(&get!(item, "due"))?,
            number(&get!(item, "rank"))?,
            number(&get!(item, "seq"))?,
        ),
        id: optional!(item, "id", text),
    })
}

fn settlement(value: Any<'_, '_>) -> PyResult<Settlement> {
    let word = value.cast::<PyString>()?.to_str()?;
    Settlement::named(word).ok_or_else(|| unknown("settlement", word))
}

fn removal(removal: Any<'_, '_>) -> PyResult<Removal> {
    Ok(Removal {
        item: held(&get!(removal, "item"))?,
        settlement: settlement(&get!(removal, "settlement"))?,
        expires_at: number(&get!(removal, "expires_at"))?,
    })
}

fn reschedule(change: Any<'_, '_>) -> PyResult<Reschedule> {
    Ok(Reschedule {
        item: held(&get!(change, "item"))?,
        due: number(&get!(change, "due"))?,
        attempt: number(&get!(change, "attempt"))?,
        delivery: number(&get!(change, "delivery"))?,
        error: optional!(change, "error", text),
        blocks: flag(&get!(change, "blocks"))?,
    })
}

/// An item as it is to be stored.
fn mark(item: Any<'_, '_>) -> PyResult<Reschedule> {
    Ok(Reschedule {
        item: held(item)?,
        due: number(&get!(item, "due"))?,
        attempt: number(&get!(item, "attempt"))?,
        delivery: number(&get!(item, "delivery"))?,
        error: optional!(item, "error", text),
        blocks: flag(&get!(item, "blocks"))?,
    })
}

fn burial(burial: Any<'_, '_>) -> PyResult<Burial> {
    let item = get!(burial, "item");
    let (item, lane, at) = if item.is_none() {
        (None, None, None)
    } else {
        let lane = optional!(item, "lane", text);
        (Some(held(&item)?), lane, Some(number(&get!(item, "at"))?))
    };
    Ok(Burial {
        id: text(&get!(burial, "id"))?,
        item,
        lane,
        at,
        payload: bytes(&get!(burial, "payload"))?,
        attempts: number(&get!(burial, "attempts"))?,
        error: text(&get!(burial, "error"))?,
        count: number(&get!(burial, "count"))?,
        expires_at: number(&get!(burial, "expires_at"))?,
    })
}

fn retire(retire: Any<'_, '_>) -> PyResult<Retire> {
    Ok(Retire {
        segment: number(&get!(retire, "segment"))?,
        settlement: settlement(&get!(retire, "settlement"))?,
        expires_at: number(&get!(retire, "expires_at"))?,
    })
}

fn clear(clear: Any<'_, '_>) -> PyResult<Clear> {
    Ok(Clear {
        segment: number(&get!(clear, "segment"))?,
        expires_at: number(&get!(clear, "expires_at"))?,
    })
}

fn batching(batching: Any<'_, '_>) -> PyResult<Batching> {
    Ok(Batching {
        max_items: optional!(batching, "max_items", number),
        window_ms: optional!(batching, "window_ms", number),
    })
}

fn due(due: Any<'_, '_>) -> PyResult<Due> {
    let how = get!(due, "how");
    Ok(Due {
        name: text(&get!(due, "name"))?,
        how: match how.cast::<PyString>()?.to_str()? {
            "set" => How::Set,
            "set_if_unset" => How::SetIfUnset,
            "earlier" => How::Earlier,
            "clear" => How::Clear,
            other => return Err(unknown("how", other)),
        },
        at: number(&get!(due, "at"))?,
    })
}

fn release(value: Any<'_, '_>) -> PyResult<Release> {
    match value.cast::<PyString>()?.to_str()? {
        "no" => Ok(Release::No),
        "idle" => Ok(Release::Idle),
        "yes" => Ok(Release::Yes),
        other => Err(unknown("release", other)),
    }
}

fn unknown(field: &str, value: &str) -> PyErr {
    PyValueError::new_err(format!("{field} cannot be {value:?}"))
}
