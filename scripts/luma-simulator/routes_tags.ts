import { type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import { checkTagName, deleteTag, findTag, onEvents } from "./tags.ts";

const PATH = "/v1/calendars/event-tags";

export const tagRoutes: Route[] = [
  // The document gives this list no cursor: all tags come at once.
  route("GET", `${PATH}/list`, schemas.nothing, ({ calendar }) => {
    return { entries: calendar.tags, has_more: false };
  }),
  route(
    "POST",
    `${PATH}/create`,
    schemas.createTag,
    ({ world, calendar }, { name, color }) => {
      checkTagName(calendar, name);
      const id = world.id("tag");
      calendar.tags.push({ id, name, color: color ?? "blue" });
      return { id };
    },
  ),
  route("POST", `${PATH}/update`, schemas.updateTag, ({ calendar }, input) => {
    const tag = findTag(calendar, input.tag_id);
    if (input.name !== undefined) checkTagName(calendar, input.name, tag);
    tag.name = input.name ?? tag.name;
    tag.color = input.color ?? tag.color;
    return {};
  }),
  route(
    "POST",
    `${PATH}/delete`,
    schemas.deleteTag,
    ({ world, calendar }, { tag_id }) => {
      deleteTag(world, calendar, findTag(calendar, tag_id));
      return {};
    },
  ),
  route(
    "POST",
    `${PATH}/apply`,
    schemas.applyTag,
    ({ world, calendar }, input) => {
      const tag = findTag(calendar, input.tag);
      const { done, skipped } = onEvents(
        world,
        calendar,
        input.event_ids,
        (event) => {
          if (!event.tags.includes(tag)) event.tags = [...event.tags, tag];
        },
      );
      return { applied_count: done, skipped_count: skipped };
    },
  ),
  route(
    "POST",
    `${PATH}/unapply`,
    schemas.applyTag,
    ({ world, calendar }, input) => {
      const tag = findTag(calendar, input.tag);
      const { done, skipped } = onEvents(
        world,
        calendar,
        input.event_ids,
        (event) => {
          event.tags = event.tags.filter((t) => t !== tag);
        },
      );
      return { removed_count: done, skipped_count: skipped };
    },
  ),
];
