export type Json = string | number | boolean | null | {
  [key: string]: Json | undefined;
} | Json[];

export type Database = {
  "public": {
    Tables: {
      "calendars": {
        Row: {
          "created_at": string | null;
          "description": string | null;
          "fence_lat": number | null;
          "fence_lng": number | null;
          "fence_radius_km": number | null;
          "has_api_key": boolean | null;
          "id": string;
          "is_active": boolean | null;
          "luma_calendar_id": string | null;
          "luma_is_default": boolean;
          "luma_key": string | null;
          "name": string;
          "sync_method": string | null;
          "type": string | null;
          "updated_at": string | null;
          "url": string;
        };
        ComputedFields: never;
        Insert: {
          "created_at"?: string | null;
          "description"?: string | null;
          "fence_lat"?: number | null;
          "fence_lng"?: number | null;
          "fence_radius_km"?: number | null;
          "has_api_key"?: boolean | null;
          "id"?: string;
          "is_active"?: boolean | null;
          "luma_calendar_id"?: string | null;
          "luma_is_default"?: boolean;
          "luma_key"?: string | null;
          "name": string;
          "sync_method"?: string | null;
          "type"?: string | null;
          "updated_at"?: string | null;
          "url": string;
        };
        Update: {
          "created_at"?: string | null;
          "description"?: string | null;
          "fence_lat"?: number | null;
          "fence_lng"?: number | null;
          "fence_radius_km"?: number | null;
          "has_api_key"?: boolean | null;
          "id"?: string;
          "is_active"?: boolean | null;
          "luma_calendar_id"?: string | null;
          "luma_is_default"?: boolean;
          "luma_key"?: string | null;
          "name"?: string;
          "sync_method"?: string | null;
          "type"?: string | null;
          "updated_at"?: string | null;
          "url"?: string;
        };
        Relationships: [];
      };
      "canonical_events": {
        Row: {
          "canonical_uid": string;
          "category": string | null;
          "cover_image_url": string | null;
          "created_at": string | null;
          "culture": string | null;
          "current_rsvp_count": number | null;
          "description": string | null;
          "ends_at": string | null;
          "event_version": number | null;
          "external_rsvp_url": string | null;
          "geocode_attempted_at": string | null;
          "geocode_status": string | null;
          "host_id": string | null;
          "host_type": string | null;
          "id": string;
          "is_ticketed": boolean | null;
          "lat": number | null;
          "lng": number | null;
          "location_name": string | null;
          "location_raw": string | null;
          "location_type": string | null;
          "luma_event_id": string | null;
          "luma_sync_status": string | null;
          "luma_synced_at": string | null;
          "max_capacity": number | null;
          "meeting_point": string | null;
          "meeting_url": string | null;
          "raw_payload": Json | null;
          "source_refs": NonNullable<Json>;
          "source_type": string | null;
          "starts_at": string;
          "submission_status": string | null;
          "ticket_currency": string | null;
          "ticket_price": number | null;
          "title": string;
          "tz": string | null;
          "updated_at": string | null;
          "visibility": string | null;
          "zo_property_id": string | null;
        };
        ComputedFields: never;
        Insert: {
          "canonical_uid": string;
          "category"?: string | null;
          "cover_image_url"?: string | null;
          "created_at"?: string | null;
          "culture"?: string | null;
          "current_rsvp_count"?: number | null;
          "description"?: string | null;
          "ends_at"?: string | null;
          "event_version"?: number | null;
          "external_rsvp_url"?: string | null;
          "geocode_attempted_at"?: string | null;
          "geocode_status"?: string | null;
          "host_id"?: string | null;
          "host_type"?: string | null;
          "id"?: string;
          "is_ticketed"?: boolean | null;
          "lat"?: number | null;
          "lng"?: number | null;
          "location_name"?: string | null;
          "location_raw"?: string | null;
          "location_type"?: string | null;
          "luma_event_id"?: string | null;
          "luma_sync_status"?: string | null;
          "luma_synced_at"?: string | null;
          "max_capacity"?: number | null;
          "meeting_point"?: string | null;
          "meeting_url"?: string | null;
          "raw_payload"?: Json | null;
          "source_refs"?: NonNullable<Json>;
          "source_type"?: string | null;
          "starts_at": string;
          "submission_status"?: string | null;
          "ticket_currency"?: string | null;
          "ticket_price"?: number | null;
          "title": string;
          "tz"?: string | null;
          "updated_at"?: string | null;
          "visibility"?: string | null;
          "zo_property_id"?: string | null;
        };
        Update: {
          "canonical_uid"?: string;
          "category"?: string | null;
          "cover_image_url"?: string | null;
          "created_at"?: string | null;
          "culture"?: string | null;
          "current_rsvp_count"?: number | null;
          "description"?: string | null;
          "ends_at"?: string | null;
          "event_version"?: number | null;
          "external_rsvp_url"?: string | null;
          "geocode_attempted_at"?: string | null;
          "geocode_status"?: string | null;
          "host_id"?: string | null;
          "host_type"?: string | null;
          "id"?: string;
          "is_ticketed"?: boolean | null;
          "lat"?: number | null;
          "lng"?: number | null;
          "location_name"?: string | null;
          "location_raw"?: string | null;
          "location_type"?: string | null;
          "luma_event_id"?: string | null;
          "luma_sync_status"?: string | null;
          "luma_synced_at"?: string | null;
          "max_capacity"?: number | null;
          "meeting_point"?: string | null;
          "meeting_url"?: string | null;
          "raw_payload"?: Json | null;
          "source_refs"?: NonNullable<Json>;
          "source_type"?: string | null;
          "starts_at"?: string;
          "submission_status"?: string | null;
          "ticket_currency"?: string | null;
          "ticket_price"?: number | null;
          "title"?: string;
          "tz"?: string | null;
          "updated_at"?: string | null;
          "visibility"?: string | null;
          "zo_property_id"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "canonical_events_culture_fkey";
            columns: ["culture"];
            isOneToOne: false;
            referencedRelation: "event_cultures";
            referencedColumns: ["slug"];
          },
          {
            foreignKeyName: "canonical_events_host_id_fkey";
            columns: ["host_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "event_cultures": {
        Row: {
          "asset_file": string | null;
          "color": string | null;
          "created_at": string | null;
          "description": string | null;
          "emoji": string | null;
          "is_active": boolean | null;
          "name": string | null;
          "slug": string;
          "sort_order": number | null;
          "tags": (string)[] | null;
        };
        ComputedFields: never;
        Insert: {
          "asset_file"?: string | null;
          "color"?: string | null;
          "created_at"?: string | null;
          "description"?: string | null;
          "emoji"?: string | null;
          "is_active"?: boolean | null;
          "name"?: string | null;
          "slug": string;
          "sort_order"?: number | null;
          "tags"?: (string)[] | null;
        };
        Update: {
          "asset_file"?: string | null;
          "color"?: string | null;
          "created_at"?: string | null;
          "description"?: string | null;
          "emoji"?: string | null;
          "is_active"?: boolean | null;
          "name"?: string | null;
          "slug"?: string;
          "sort_order"?: number | null;
          "tags"?: (string)[] | null;
        };
        Relationships: [];
      };
      "event_rsvps": {
        Row: {
          "checked_in": boolean | null;
          "checked_in_at": string | null;
          "checked_in_by": string | null;
          "created_at": string | null;
          "event_id": string;
          "id": string;
          "luma_guest_id": string | null;
          "luma_synced_at": string | null;
          "metadata": Json | null;
          "notes": string | null;
          "rsvp_type": string | null;
          "status": string | null;
          "updated_at": string | null;
          "user_id": string;
        };
        ComputedFields: never;
        Insert: {
          "checked_in"?: boolean | null;
          "checked_in_at"?: string | null;
          "checked_in_by"?: string | null;
          "created_at"?: string | null;
          "event_id": string;
          "id"?: string;
          "luma_guest_id"?: string | null;
          "luma_synced_at"?: string | null;
          "metadata"?: Json | null;
          "notes"?: string | null;
          "rsvp_type"?: string | null;
          "status"?: string | null;
          "updated_at"?: string | null;
          "user_id": string;
        };
        Update: {
          "checked_in"?: boolean | null;
          "checked_in_at"?: string | null;
          "checked_in_by"?: string | null;
          "created_at"?: string | null;
          "event_id"?: string;
          "id"?: string;
          "luma_guest_id"?: string | null;
          "luma_synced_at"?: string | null;
          "metadata"?: Json | null;
          "notes"?: string | null;
          "rsvp_type"?: string | null;
          "status"?: string | null;
          "updated_at"?: string | null;
          "user_id"?: string;
        };
        Relationships: [
          {
            foreignKeyName: "event_rsvps_event_id_fkey";
            columns: ["event_id"];
            isOneToOne: false;
            referencedRelation: "canonical_events";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "event_rsvps_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "users": {
        Row: {
          "created_at": string | null;
          "email": string | null;
          "founder_nfts_count": number | null;
          "id": string;
          "name": string | null;
          "pfp": string | null;
          "phone": string | null;
          "role": string | null;
          "updated_at": string | null;
          "zo_membership": string | null;
          "zo_roles": (string)[] | null;
        };
        ComputedFields: never;
        Insert: {
          "created_at"?: string | null;
          "email"?: string | null;
          "founder_nfts_count"?: number | null;
          "id": string;
          "name"?: string | null;
          "pfp"?: string | null;
          "phone"?: string | null;
          "role"?: string | null;
          "updated_at"?: string | null;
          "zo_membership"?: string | null;
          "zo_roles"?: (string)[] | null;
        };
        Update: {
          "created_at"?: string | null;
          "email"?: string | null;
          "founder_nfts_count"?: number | null;
          "id"?: string;
          "name"?: string | null;
          "pfp"?: string | null;
          "phone"?: string | null;
          "role"?: string | null;
          "updated_at"?: string | null;
          "zo_membership"?: string | null;
          "zo_roles"?: (string)[] | null;
        };
        Relationships: [];
      };
    };
    Views: {
      [_ in never]: never;
    };
    Functions: {
      "luma_acknowledge": {
        Args: { "lease": string; "result_json": string };
        Returns: boolean;
      };
      "luma_apply_deliveries": {
        Args: Record<PropertyKey, never>;
        Returns: Json;
      };
      "luma_claim": {
        Args: { "calendars": (string)[]; "max_jobs": number; "run_id": string };
        Returns: Json;
      };
      "luma_cover_begin": { Args: { "source_url": string }; Returns: Json };
      "luma_cover_end": {
        Args: {
          "error"?: string;
          "luma_url"?: string;
          "source_url": string;
          "transient"?: boolean;
        };
        Returns: undefined;
      };
      "luma_create_again": { Args: { "lease": string }; Returns: boolean };
      "luma_created": {
        Args: { "lease": string; "luma_event_id": string; "slug": string };
        Returns: boolean;
      };
      "luma_drain_end": {
        Args: {
          "calendars": (string)[];
          "calls": number;
          "force": boolean;
          "reason": string;
          "run_id": string;
        };
        Returns: string;
      };
      "luma_drain_start": { Args: { "keys": (string)[] }; Returns: Json };
      "luma_event_read": {
        Args: { "lease": string; "news_json": string };
        Returns: Json;
      };
      "luma_fail": {
        Args: { "failure_json": string; "lease": string };
        Returns: string;
      };
      "luma_note_rate_limit": {
        Args: { "calendar": string; "rate_limit": number };
        Returns: undefined;
      };
      "luma_pull_begin": { Args: { "keys": (string)[] }; Returns: Json };
      "luma_pull_pause": {
        Args: { "lease": string; "run_id": string };
        Returns: undefined;
      };
      "luma_pull_request": {
        Args: { "calendar"?: string; "dry"?: boolean; "event"?: string };
        Returns: number;
      };
      "luma_pull_step": {
        Args: { "lease": string; "result_json": string; "run_id": string };
        Returns: Json;
      };
      "luma_read_delivery": {
        Args: { "news_json"?: string; "webhook_id": string };
        Returns: undefined;
      };
      "luma_receive_webhook": {
        Args: {
          "calendar": string;
          "news_json"?: string;
          "payload_json": string;
          "sent_at": string;
          "type": string;
          "webhook_id": string;
        };
        Returns: string;
      };
      "luma_release": { Args: { "leases": (string)[] }; Returns: undefined };
      "luma_renew": { Args: { "run_id": string }; Returns: string[] };
      "luma_return_permits": {
        Args: { "calendar": string; "unused": number };
        Returns: undefined;
      };
      "luma_settle_guests": {
        Args: { "event_id": string; "results_json": string };
        Returns: string[];
      };
      "luma_slug_taken": { Args: { "lease": string }; Returns: string };
      "luma_take_permits": {
        Args: { "calendar": string; "wanted": number };
        Returns: Json;
      };
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">;

type DefaultSchema =
  DatabaseWithoutInternals[Extract<keyof Database, "public">];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof (
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
        "Tables"
      ]
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
        "Views"
      ]
    )
    : never = never,
> = DefaultSchemaTableNameOrOptions extends
  { schema: keyof DatabaseWithoutInternals } ? (
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
      "Tables"
    ]
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
      "Views"
    ]
  )[TableName] extends {
    Row: infer R;
  } ? R
  : never
  : DefaultSchemaTableNameOrOptions extends
    keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[
      DefaultSchemaTableNameOrOptions
    ] extends {
      Row: infer R;
    } ? R
    : never
  : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
      "Tables"
    ]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends
  { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
    "Tables"
  ][TableName] extends {
    Insert: infer I;
  } ? I
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I;
    } ? I
    : never
  : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
      "Tables"
    ]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends
  { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]][
    "Tables"
  ][TableName] extends {
    Update: infer U;
  } ? U
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U;
    } ? U
    : never
  : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]][
      "Enums"
    ]
    : never = never,
> = DefaultSchemaEnumNameOrOptions extends
  { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][
    EnumName
  ]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[
      PublicCompositeTypeNameOrOptions["schema"]
    ]["CompositeTypes"]
    : never = never,
> = PublicCompositeTypeNameOrOptions extends
  { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]][
    "CompositeTypes"
  ][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends
    keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never;

export const Constants = {
  "public": {
    Enums: {},
  },
} as const;
