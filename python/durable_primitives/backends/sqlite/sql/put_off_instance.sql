-- A later alarm for what is damaged, whatever else its row holds.  While it has an owner, that is the end of its lease.
-- parameters: until, ik
UPDATE durable_instance SET
  alarm = ?1, lease_until = CASE WHEN owner IS NULL THEN lease_until ELSE ?1 END
WHERE ik = ?2
