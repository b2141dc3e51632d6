//! From the core's structs to the Python structs of `durable_primitives.kernel`.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable_core::transition::model::{
    Accepted, Claim, DeadLetter, Item, Outcome, Receipt, Record, Settlement, Tally,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple};

/// The Python classes that answers are made of.
pub(crate) struct Classes {
    accepted: Py<PyAny>,
    outcome: Py<PyAny>,
    claim: Py<PyAny>,
    renewal: Py<PyAny>,
    record: Py<PyAny>,
    item: Py<PyAny>,
    receipt: Py<PyAny>,
    letter: Py<PyAny>,
    snapshot: Py<PyAny>,
    tally: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

impl Classes {
    /// The classes, looked up once.
    pub(crate) fn get(py: Python<'_>) -> PyResult<&Self> {
        CLASSES.get_or_try_init(py, || {
            let transition = py.import("durable_primitives.kernel.transition")?;
            let record = py.import("durable_primitives.kernel.record")?;
            let class = |module: &Bound<'_, PyModule>, name: &str| {
                Ok::<_, PyErr>(module.getattr(name)?.unbind())
            };
            Ok(Self {
                accepted: class(&transition, "Accepted")?,
                outcome: class(&transition, "Outcome")?,
                claim: class(&transition, "Claim")?,
                renewal: class(&transition, "Renewal")?,
                record: class(&record, "Record")?,
                item: class(&record, "Item")?,
                receipt: class(&record, "Receipt")?,
                letter: class(&record, "DeadLetter")?,
                snapshot: class(&record, "Snapshot")?,
                tally: class(&record, "Tally")?,
            })
        })
    }

    /// An outcome; fields that stand at their default are left to it.
    pub(crate) fn outcome<'py>(
        &self,
        py: Python<'py>,
        outcome: &Outcome,
    ) -> PyResult<Bound<'py, PyAny>> {
        let fields = PyDict::new(py);
        fields.set_item(intern!(py, "verdict"), outcome.verdict)?;
        fields.set_item(intern!(py, "version"), outcome.version)?;
        fields.set_item(intern!(py, "generation"), outcome.generation)?;
        fields.set_item(intern!(py, "count"), outcome.count)?;
        for (name, value) in [
            (intern!(py, "created"), outcome.created),
            (intern!(py, "held"), outcome.held),
            (intern!(py, "released"), outcome.released),
        ] {
            if value {
                fields.set_item(name, true)?;
            }
        }
        if !outcome.accepted.is_empty() {
            let accepted = outcome.accepted.iter().map(|one| self.accepted(py, *one));
            fields.set_item(intern!(py, "accepted"), tuple(py, accepted)?)?;
        }
        if !outcome.items.is_empty() {
            fields.set_item(intern!(py, "items"), self.items(py, &outcome.items)?)?;
        }
        if outcome.cleared != 0 {
            fields.set_item(intern!(py, "cleared"), outcome.cleared)?;
        }
        if !outcome.cancelled.is_empty() {
            fields.set_item(
                intern!(py, "cancelled"),
                PyTuple::new(py, &outcome.cancelled)?,
            )?;
        }
        if !outcome.cancels.is_empty() {
            fields.set_item(intern!(py, "cancels"), PyTuple::new(py, &outcome.cancels)?)?;
        }
        if let Some(dues) = &outcome.dues {
            fields.set_item(intern!(py, "dues"), named(py, dues)?)?;
        }
        self.outcome.bind(py).call((), Some(&fields))
    }

    fn accepted<'py>(&self, py: Python<'py>, one: Accepted) -> PyResult<Bound<'py, PyAny>> {
        let fields = (
            one.seq,
            one.position,
            one.segment,
            one.segment_count,
            one.duplicate,
        );
        self.accepted.bind(py).call1(fields)
    }

    pub(crate) fn claim<'py>(&self, py: Python<'py>, claim: &Claim) -> PyResult<Bound<'py, PyAny>> {
        let fields = (
            self.record(py, &claim.record)?,
            self.items(py, &claim.items)?,
            PyTuple::new(py, &claim.suspects)?,
        );
        self.claim.bind(py).call1(fields)
    }

    pub(crate) fn renewal<'py>(
        &self,
        py: Python<'py>,
        instance: &str,
        version: Option<i64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let fields = (instance, version.is_some(), version.unwrap_or(0));
        self.renewal.bind(py).call1(fields)
    }

    pub(crate) fn items<'py>(
        &self,
        py: Python<'py>,
        items: &[Item],
    ) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, items.iter().map(|item| self.item(py, item)))
    }

    pub(crate) fn item<'py>(&self, py: Python<'py>, item: &Item) -> PyResult<Bound<'py, PyAny>> {
        self.item.bind(py).call1((
            item.seq,
            item.id.as_deref(),
            PyBytes::new(py, &item.payload),
            item.at,
            item.lane.as_deref(),
            item.due,
            item.rank,
            item.segment,
            item.attempt,
            item.delivery,
            item.error.as_deref(),
            item.blocks,
        ))
    }

    pub(crate) fn snapshot<'py>(
        &self,
        py: Python<'py>,
        record: Option<&Record>,
        receipts: &[&Receipt],
        letters: &[&DeadLetter],
    ) -> PyResult<Bound<'py, PyAny>> {
        let record = record.map(|record| self.record(py, record)).transpose()?;
        let receipts_by_id = PyDict::new(py);
        for receipt in receipts {
            receipts_by_id.set_item(&*receipt.id, self.receipt(py, receipt)?)?;
        }
        let letters_by_id = PyDict::new(py);
        for letter in letters {
            letters_by_id.set_item(&*letter.id, self.letter(py, letter)?)?;
        }
        self.snapshot
            .bind(py)
            .call1((record, receipts_by_id, letters_by_id))
    }

    fn receipt<'py>(&self, py: Python<'py>, receipt: &Receipt) -> PyResult<Bound<'py, PyAny>> {
        self.receipt.bind(py).call1((
            &*receipt.id,
            receipt.seq,
            receipt.position,
            receipt.due,
            receipt.rank,
            receipt.segment,
            receipt.settlement.map(Settlement::as_str),
            receipt.expires_at,
        ))
    }

    pub(crate) fn letter<'py>(
        &self,
        py: Python<'py>,
        letter: &DeadLetter,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.letter.bind(py).call1((
            &*letter.id,
            PyBytes::new(py, &letter.payload),
            letter.lane.as_deref(),
            letter.rank,
            letter.at,
            letter.failed_at,
            letter.attempts,
            &*letter.error,
            letter.count,
            letter.expires_at,
        ))
    }

    pub(crate) fn tally<'py>(&self, py: Python<'py>, tally: Tally) -> PyResult<Bound<'py, PyAny>> {
        let fields = (
            tally.ready,
            tally.delayed,
            tally.retrying,
            tally.dead,
            tally.oldest_at,
        );
        self.tally.bind(py).call1(fields)
    }

    pub(crate) fn record<'py>(
        &self,
        py: Python<'py>,
        record: &Record,
    ) -> PyResult<Bound<'py, PyAny>> {
        let fields = PyDict::new(py);
        fields.set_item(intern!(py, "instance"), &*record.instance)?;
        fields.set_item(intern!(py, "status"), &*record.status)?;
        fields.set_item(intern!(py, "data"), PyBytes::new(py, &record.data))?;
        fields.set_item(intern!(py, "held"), record.held)?;
        fields.set_item(intern!(py, "dues"), named(py, &record.dues)?)?;
        fields.set_item(intern!(py, "linger_ms"), record.linger_ms)?;
        fields.set_item(intern!(py, "purge_at"), record.purge_at)?;
        fields.set_item(intern!(py, "owner"), record.owner.as_deref())?;
        fields.set_item(intern!(py, "taken"), PyTuple::new(py, &record.taken)?)?;
        fields.set_item(intern!(py, "cancels"), PyTuple::new(py, &record.cancels)?)?;
        for (name, value) in [
            (intern!(py, "version"), record.version),
            (intern!(py, "generation"), record.generation),
            (intern!(py, "token"), record.token),
            (intern!(py, "lease_until"), record.lease_until),
            (intern!(py, "deliveries"), record.deliveries),
            (intern!(py, "sequence"), record.sequence),
            (intern!(py, "count"), record.count),
            (intern!(py, "segment"), record.segment),
            (intern!(py, "segment_count"), record.segment_count),
            (intern!(py, "segment_first_at"), record.segment_first_at),
            (intern!(py, "segment_last_at"), record.segment_last_at),
            (intern!(py, "finished"), record.finished),
            (intern!(py, "created_at"), record.created_at),
            (intern!(py, "updated_at"), record.updated_at),
        ] {
            fields.set_item(name, value)?;
        }
        self.record.bind(py).call((), Some(&fields))
    }
}

fn tuple<'py>(
    py: Python<'py>,
    parts: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, parts.collect::<PyResult<Vec<_>>>()?)
}

fn named<'py>(py: Python<'py>, dues: &BTreeMap<Arc<str>, i64>) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    for (name, due) in dues {
        fields.set_item(&**name, due)?;
    }
    Ok(fields)
}
