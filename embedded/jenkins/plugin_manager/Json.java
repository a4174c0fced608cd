package io.jenkins.tools.pluginmanager.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A small reader of JSON: objects are maps, arrays are lists. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(String text) {
        Json reader = new Json(text);
        Object value = reader.value();
        reader.space();
        if (!(value instanceof Map) || reader.at != text.length()) {
            throw new IllegalArgumentException("A JSONObject text must begin with '{' at character " + reader.at);
        }
        return (Map<String, Object>) value;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> map(Object value) {
        return (Map<String, Object>) value;
    }

    @SuppressWarnings("unchecked")
    static List<Object> list(Object value) {
        return (List<Object>) value;
    }

    private Object value() {
        space();
        char first = next();
        switch (first) {
            case '{':
                return members();
            case '[':
                return items();
            case '"':
                return string();
            default:
                return word();
        }
    }

    private Map<String, Object> members() {
        Map<String, Object> found = new LinkedHashMap<>();
        at++;
        space();
        while (next() != '}') {
            String name = (String) value();
            space();
            need(':');
            found.put(name, value());
            space();
            if (next() == ',') {
                at++;
                space();
            }
        }
        at++;
        return found;
    }

    private List<Object> items() {
        List<Object> found = new ArrayList<>();
        at++;
        space();
        while (next() != ']') {
            found.add(value());
            space();
            if (next() == ',') {
                at++;
                space();
            }
        }
        at++;
        return found;
    }

    private String string() {
        StringBuilder found = new StringBuilder();
        at++;
        while (next() != '"') {
            char character = text.charAt(at++);
            if (character != '\\') {
                found.append(character);
                continue;
            }
            character = text.charAt(at++);
            if (character == 'u') {
                found.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                at += 4;
            } else {
                int known = "bfnrt".indexOf(character);
                found.append(known < 0 ? character : "\b\f\n\r\t".charAt(known));
            }
        }
        at++;
        return found.toString();
    }

    private Object word() {
        int start = at;
        while (at < text.length() && "+-.0123456789aeflnrstuE".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String word = text.substring(start, at);
        switch (word) {
            case "true":
                return Boolean.TRUE;
            case "false":
                return Boolean.FALSE;
            case "null":
                return null;
            default:
                return Double.valueOf(word);
        }
    }

    private void need(char wanted) {
        if (next() != wanted) {
            throw new IllegalArgumentException("Expected a '" + wanted + "' at character " + at);
        }
        at++;
    }

    private char next() {
        if (at >= text.length()) {
            throw new IllegalArgumentException("Unterminated JSON at character " + at);
        }
        return text.charAt(at);
    }

    private void space() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
    }
}
