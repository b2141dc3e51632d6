-- parameters: ik, after, before
SELECT min(due) FROM durable_event WHERE ik = ? AND payload IS NOT NULL AND due > ? AND due < ?
