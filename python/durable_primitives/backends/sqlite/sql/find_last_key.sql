-- The newest `ik` that was ever given out.
-- parameters: none
SELECT seq FROM sqlite_sequence WHERE name = 'durable_instance'
