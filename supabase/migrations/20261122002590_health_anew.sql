-- luma.health gains columns later on, and Postgres replaces no view by one with fewer: without this the next file could
-- not be applied a second time.

drop view if exists luma.health;
