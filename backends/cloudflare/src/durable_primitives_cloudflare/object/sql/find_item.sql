-- parameters: ik, due, rank, seq
SELECT seq, key, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks FROM durable_event WHERE ik = ? AND payload IS NOT NULL AND due = ? AND rank = ? AND seq = ?
