-- A dead letter that was redriven or discarded.
-- parameters: ik, id
DELETE FROM durable_letter WHERE ik = ? AND id = ?
