-- What a message says to one recipient and not to the others.

ALTER TABLE recipient ADD COLUMN variables jsonb CHECK (jsonb_typeof(variables) = 'object');
COMMENT ON COLUMN recipient.variables IS 'What stands in the place of {{name}} in the texts of the queue''s content for this recipient, as an object of texts. Null where texts are sent as they are, which is so for all recipients of a queue or for none.';
