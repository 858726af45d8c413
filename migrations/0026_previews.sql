-- What phones show before a file is loaded or a page opened. First what is known of the files of queues.

ALTER TABLE queue_upload
    ADD COLUMN width       integer CHECK (width > 0),
    ADD COLUMN height      integer CHECK (height > 0),
    ADD COLUMN seconds     integer CHECK (seconds >= 0),
    ADD COLUMN thumbnail   bytea   CHECK (length(thumbnail) BETWEEN 1 AND 65536),
    ADD COLUMN waveform    bytea   CHECK (length(waveform) = 64),
    ADD COLUMN is_animated boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN queue_upload.width       IS 'Of a picture or a film: how wide it is shown, in points; null if that is not known.';
COMMENT ON COLUMN queue_upload.height      IS 'The same: how high.';
COMMENT ON COLUMN queue_upload.seconds     IS 'Of a film or a sound: how long it is; null if that is not known.';
COMMENT ON COLUMN queue_upload.thumbnail   IS 'Of a picture: a small JPEG of it.';
COMMENT ON COLUMN queue_upload.waveform    IS 'Of a voice note: how loud it is in each 64th of it, 0 to 100.';
COMMENT ON COLUMN queue_upload.is_animated IS 'Of a sticker: it moves.';

-- What is shown of the pages that the texts of queues link to.

CREATE TABLE queue_preview (
    queue_id    uuid  PRIMARY KEY REFERENCES queue (id) ON DELETE CASCADE,
    link        text  CHECK (length(link) BETWEEN 1 AND 65536),
    title       text  CHECK (length(title) BETWEEN 1 AND 1024),
    description text  CHECK (length(description) BETWEEN 1 AND 4096),
    thumbnail   bytea CHECK (length(thumbnail) BETWEEN 1 AND 65536),
    CHECK ((link IS NULL) = (title IS NULL))
);
COMMENT ON TABLE  queue_preview             IS 'One row per queue whose page was asked for: all its recipients are shown the same, also when they ask for their message again. Written by the owner of the session''s shard before anybody is sent to; it goes with its queue.';
COMMENT ON COLUMN queue_preview.queue_id    IS 'The queue.';
COMMENT ON COLUMN queue_preview.link        IS 'The link, as it stands in the text; null if nothing was to be had of the page, so that nothing is shown.';
COMMENT ON COLUMN queue_preview.title       IS 'What the page is called; null as long.';
COMMENT ON COLUMN queue_preview.description IS 'What it says of itself, if it does.';
COMMENT ON COLUMN queue_preview.thumbnail   IS 'A small JPEG of its picture, if it has one that could be read.';
