-- What a transaction made of a record.
-- parameters: alarm, the fields of a `Record` in their order, ik
UPDATE durable_instance SET
  alarm = ?, instance = ?, status = ?, data = ?, version = ?, generation = ?, held = ?, dues = ?, linger_ms = ?,
  purge_at = ?, token = ?, owner = ?, lease_until = ?, deliveries = ?, taken = ?, cancels = ?, sequence = ?, count = ?,
  segment = ?, segment_count = ?, segment_first_at = ?, segment_last_at = ?, finished = ?, created_at = ?,
  updated_at = ?
WHERE ik = ?
