-- What is known of people beside their names, and what events have told of them.

ALTER TABLE contact
    ADD COLUMN business  text CHECK (length(business) <= 256),
    ADD COLUMN about     text CHECK (length(about) <= 1024),
    ADD COLUMN picture   text CHECK (length(picture) <= 128),
    ADD COLUMN told_as   text CHECK (length(told_as) BETWEEN 1 AND 128),
    ADD COLUMN told_name text CHECK (length(told_name) <= 256);
COMMENT ON COLUMN contact.business  IS 'The name of their business, if WhatsApp told one.';
COMMENT ON COLUMN contact.about     IS 'What they say about themselves, as WhatsApp told it last; null if it never did, or if they took it back.';
COMMENT ON COLUMN contact.picture   IS 'The id of their picture, as WhatsApp told it last; empty if they removed it; null if it never said.';
COMMENT ON COLUMN contact.told_as   IS 'Their jid when an event told of them last; null if none did. Another than jid: that both are one is to be told.';
COMMENT ON COLUMN contact.told_name IS 'The name that event told; empty for none.';
