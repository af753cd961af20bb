-- What the catalogue says of a product besides: the suite it belongs to, the sku of the model that came after it, its
-- place among the products that pinned blocks show (0: not among them).
alter table product add column suite text not null default '';
alter table product add column successor text not null default '';
alter table product add column pinned integer not null default 0;
