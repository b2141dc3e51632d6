-- parameters: ik, lane
SELECT max(rank) FROM durable_event WHERE ik = ? AND payload IS NOT NULL AND lane = ?
