-- parameters: ik
DELETE FROM durable_event WHERE ik = ?
