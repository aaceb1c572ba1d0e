import { assertEquals, assertNotEquals } from "@std/assert";
import { coverCandidates } from "../../supabase/functions/_shared/covers/candidates.ts";
import { image, readPng } from "../../supabase/functions/_shared/covers/images_for_tests.ts";
import { appFile } from "./app_files.ts";
