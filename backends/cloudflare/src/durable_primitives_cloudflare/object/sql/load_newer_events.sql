-- What was appended since the record was written.
-- parameters: ik, the record's last sequence
SELECT seq, due, segment, at FROM durable_event WHERE ik = ? AND payload IS NOT NULL AND seq > ? ORDER BY seq
