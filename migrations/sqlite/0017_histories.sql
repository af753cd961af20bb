-- What a mail's histories ask of a member stands in the index that finds it: the row itself is not looked up, which cost
-- more than everything else about it.
drop index orders_member;
create index orders_member on orders (member_id, ordered_at_ms, status);
create index touch_click on touch (member_id, at_ms, product_id)
  where ((kind = 'click') and (class = 'human') and (product_id is not null));
