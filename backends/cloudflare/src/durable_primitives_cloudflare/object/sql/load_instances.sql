-- Every instance of a namespace.  In an object of a deployment there is one.
-- parameters: prefix, the first text behind it
SELECT ik, record FROM durable_instance WHERE name >= ? AND name < ?
