-- What keeps a session from writing to new contacts, who waits for its end, pauses after "too fast", and the look-ups of a
-- day.

ALTER TABLE session
    ADD COLUMN restriction        smallint CHECK (restriction BETWEEN 1 AND 3),
    ADD COLUMN restricted_since   timestamptz,
    ADD COLUMN restricted_until   timestamptz,
    ADD COLUMN restricted_why     text     CHECK (length(restricted_why) BETWEEN 1 AND 64),
    ADD COLUMN restrictions       integer  NOT NULL DEFAULT 0 CHECK (restrictions >= 0),
    ADD COLUMN rate_limited_until timestamptz,
    ADD COLUMN look_ups           integer  NOT NULL DEFAULT 0 CHECK (look_ups >= 0),
    ADD COLUMN look_ups_since     timestamptz,
    ADD COLUMN look_up_at         timestamptz,
    ADD CONSTRAINT restriction_is_whole CHECK ((restriction IS NULL) = (restricted_since IS NULL)
        AND (restriction IS NULL) = (restricted_until IS NULL));
COMMENT ON COLUMN session.restriction        IS 'New contacts can''t be written to: 1 reach-out time lock, 2 one was refused and no lock is known of, 3 cap on new chats; null when they can.';
COMMENT ON COLUMN session.restricted_since   IS 'Since when.';
COMMENT ON COLUMN session.restricted_until   IS 'When WhatsApp is asked again, and new contacts go on unless it prolongs the restriction.';
COMMENT ON COLUMN session.restricted_why     IS 'WhatsApp''s word for the reason.';
COMMENT ON COLUMN session.restrictions       IS 'How many restrictions there were: the number of the present or the last one.';
COMMENT ON COLUMN session.rate_limited_until IS 'Before this nothing is sent: WhatsApp said that it goes too fast.';
COMMENT ON COLUMN session.look_ups           IS 'Unknown numbers that WhatsApp was asked for in the 24 hours from look_ups_since.';
COMMENT ON COLUMN session.look_ups_since     IS 'When the first of those was asked for.';
COMMENT ON COLUMN session.look_up_at         IS 'All that is left to send goes to unknown numbers, and the next may be asked for then.';

-- No index: recipients are read by their place, and those that wait are passed over on the way.
ALTER TABLE recipient ADD COLUMN held_for integer CHECK (held_for > 0);
COMMENT ON COLUMN recipient.held_for IS 'A queued one is not sent to while this restriction (session.restrictions) lasts; of an earlier one it means nothing.';

ALTER TABLE queue ADD COLUMN held_for integer CHECK (held_for > 0);
COMMENT ON COLUMN queue.held_for IS 'All that is left of it waits for the end of this restriction; of an earlier one it means nothing.';
