-- anon and authenticated can neither read nor call anything of this project. service_role (the Edge Functions)
-- may call luma_* in public, and reaches the tables through them alone: they run as their owner.

select luma.restrict_access();
