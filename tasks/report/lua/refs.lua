#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- Note whose calls vendors' ids are, or forget it. Running it twice changes nothing more.
-- KEYS[1] the account's state hash
-- ARGV[1] "note" or "drop", then for each id: its hash without the prefix, the id (packed), the call
-- Returns the number of ids.

for i = 2, #ARGV, 3 do
  if ARGV[1] == 'note' then
    note_ref(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  else
    drop_ref(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
end
count_refs()
return (#ARGV - 1) / 3
