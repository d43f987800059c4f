-- Slices of one row that small jobs have: they lie folded in pages, many in one hash, because a key of its own costs more
-- than what is in them. Included by every script that reads a slice by its id.
--
-- The id of such a slice ends in the name of its page: <job>.0.p<n> is field <job> of the hash p<n>. Folded it has what a
-- slice of one row has, without what is always the same, and without what its name says (sendmill/ledger/pages.py folds
-- and unfolds it):
--   1 byte   'P': a newer version may fold in another way
--   1 byte   lane, 1 byte which events it causes, 1 byte state of the row
--   1 byte   1 where a row without an answer is sent again, plus 2 where no report can follow
--   4 bytes  epoch, 2 bytes how often it was put back
--   6 bytes  created, 6 bytes expires
--   4 bytes  call, 4 bytes when the row changed
--   2 bytes  where the number begins here, once it was forgotten, else 0
--   8 bytes  place in the outbox
--   the body, without job and lane, its first two fields

local PREFIX = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local FOLDED, FOLDED_BYTES = '<c1c1c1c1BI4I2I6I6I4I4I2d', 41
local MOST_ASIDE = 65535

local function key(name) return PREFIX .. name end

-- Name of the page that a slice lies in, and its field there; nil where it has a key of its own.
local function page_of(id)
  local job, page = string.match(id, '^([^.]+)%.0%.(p%d+)$')
  return page, job
end

-- A slice as it lies there, of one that has a key of its own the bytes up to `last`. Empty where it is gone.
local function read_slice(id, last)
  local page, job = page_of(id)
  if not page then return redis.call('GETRANGE', key('s:' .. id), 0, last) end
  return redis.call('HGET', key(page), job) or ''
end
