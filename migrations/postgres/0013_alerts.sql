-- More of what a person is told.
alter table alert drop constraint alert_kind_check;
alter table alert add constraint alert_kind_check check (kind in ('campaign_paused', 'provider_closed', 'campaign_put_off', 'campaign_short', 'complaints', 'route_down',
    'sending_stopped', 'work_failing'));
